"""The report's charts as PNG and SVG files, in one style, for papers."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.files import replacing
from unlearn_audit.reporting.charts import ChartData, ChartModel, ChartResult, CostPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which the colour-blind tell apart, darkened for thin lines: as in report.css.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0508a", "#b07d00", "#3d9bd1", "#7a5c3e", "#6a51a3")
MARKERS = ("o", "s", "^", "D", "v")
DASHES = (
    "-",
    (0, (4, 2)),
    (0, (1, 2)),
    (0, (5, 2, 1, 2)),
    (0, (7, 2)),
    (0, (2, 1)),
    (0, (1, 3)),
    (0, (6, 2, 1, 2, 1, 2)),
)
INK, SOFT, BAND = "#1b2126", "#59646d", "#cfcac0"
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "grid.color": "#e6e3dc",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "unlearn-audit",
}
_UNDATED: dict[str, dict[str, None]] = {".png": {"Software": None}, ".svg": {"Date": None}}
LOGARITHMIC_FROM = 12  # greatest over least value from which a linear axis would hide the small ones


def write_plots(
    charts: ChartData, folder: str | Path, *, measure: str | None = None, population: str = "retain"
) -> list[Path]:
    """Write the charts of an audit into `folder`, each as PNG (200 dpi) and SVG, and return the files.

    Args:
        charts: from `chart_data`.
        folder: made where it is missing.
        measure: the report's primary one by default.
        population: "retain", "forget" or "test".
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in _drawings(charts, measure or charts.primary.name, population).items():
        with _figure(draw) as save:
            for suffix in (".png", ".svg"):
                path = folder / f"{name}{suffix}"
                with replacing(path) as draft:
                    save(draft, suffix, dpi=200)
                written.append(path)
    return written


@dataclass(frozen=True)
class Drawing:
    """`draw(axes, *values)` as a value: two that draw the same are equal, and their picture is made once.

    Attributes:
        draw: a function of this module.
        values: what it draws: `ChartData`, names. Two are the same where they have the same `repr`.
    """

    draw: Callable[..., None]
    values: tuple[Any, ...] = field(compare=False)
    said: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "said", repr(self.values))  # the class is frozen

    def __call__(self, axes: Axes) -> None:
        """Draw on these axes."""
        self.draw(axes, *self.values)


def svg_of(draw: Callable[[Axes], None], *, height: float = 3.6) -> bytes:
    """Return one drawing as the bytes of an SVG file; `height` in inches, at a width of 7."""
    return _picture_of(draw, height, ".svg", "figure")


def png_of(draw: Callable[[Axes], None], *, height: float = 3.0) -> bytes:
    """Return one drawing as the bytes of a PNG file, the same for the same drawing; `height` in inches."""
    return _picture_of(draw, height, ".png", 160)


def _picture_of(draw: Callable[[Axes], None], height: float, suffix: str, dpi: float | str) -> bytes:
    return (_kept if isinstance(draw, Drawing) else _drawn)(draw, height, suffix, dpi)


def _drawn(draw: Callable[[Axes], None], height: float, suffix: str, dpi: float | str) -> bytes:
    buffer = io.BytesIO()
    with _figure(draw, height=height) as save:
        save(buffer, suffix, dpi=dpi)
    return buffer.getvalue()


_kept = lru_cache(maxsize=32)(_drawn)  # pages of one audit show the same pictures, and take most of their time to draw


def _drawings(charts: ChartData, measure: str, population: str) -> dict[str, Callable[[Axes], None]]:
    drawings = {"neighbourhood": lambda axes: draw_neighbourhood(axes, charts, measure, population)}
    if population in charts.classes:
        drawings["classes"] = lambda axes: draw_classes(axes, charts, population)
    if charts.cost:
        drawings["cost"] = lambda axes: draw_cost(axes, charts)
    return drawings


@contextmanager
def _figure(draw: Callable[[Axes], None], height: float = 3.6) -> Iterator[Callable[..., None]]:
    """Draw once, and give a function that saves it: `save(target, suffix, dpi=...)`, the same bytes each time."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, height))
        FigureCanvasAgg(figure)
        draw(figure.subplots())
        box = figure.get_tightbbox().padded(mpl.rcParams["savefig.pad_inches"])  # else each save lays it out anew

        def save(target: Any, suffix: str, dpi: float | str = "figure") -> None:
            figure.savefig(target, format=suffix[1:], dpi=dpi, bbox_inches=box, metadata=_UNDATED[suffix])

        yield save


def draw_neighbourhood(axes: Axes, charts: ChartData, measure: str, population: str) -> None:
    """Draw discrepancy by stratum, one line a model, over the band of the noise floor."""
    result = charts.results[measure][population]
    info = next(m for m in charts.measures if m.name == measure)
    places = range(len(charts.strata))
    if result.floor is not None and result.low is not None and result.high is not None:
        low, high, floor = (_plottable(v) for v in (result.low, result.high, result.floor))
        axes.fill_between(places, low, high, color=BAND, alpha=0.6, lw=0, label="retrained models")
        axes.plot(places, floor, color=SOFT, lw=1)
    for model in charts.models:
        if model.name in result.lines:
            axes.plot(places, _plottable(result.lines[model.name]), label=model.title, **_style(model))
    if not info.signed and logarithmic(result):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(list(places), [stratum.short for stratum in charts.strata])
    axes.set_xlabel("stratum, from nearest to the forget set to farthest")
    axes.set_ylabel(f"{info.title} ({info.unit})" if info.unit else info.title)
    axes.set_title(f"Discrepancy to the retrained models, {population} set")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))


def draw_classes(axes: Axes, charts: ChartData, population: str) -> None:
    """Draw the mean excess of each class, one mark a model, worst class at the top."""
    damage = charts.classes[population]
    rows = range(len(damage.classes))
    for model in charts.models:
        if model.name in damage.lines:
            style = {**_style(model), "ls": ""}
            axes.plot(_plottable(damage.lines[model.name]), rows, label=model.title, **style)
    axes.set_yticks(
        list(rows),
        [f"{c.name} (forgotten)" if c.forgotten else c.name for c in damage.classes],
        parse_math=False,
    )
    axes.invert_yaxis()
    axes.set_xlabel(f"mean excess, {charts.primary.title}")
    axes.set_title(f"Damage by class, {population} set")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))


def draw_cost(axes: Axes, charts: ChartData) -> None:
    """Draw excess in the nearest stratum over cost, one point a model."""
    axes.axhline(0, color=SOFT, lw=1)
    shown = [(point, point.excess) for point in charts.cost if point.excess is not None]
    for point, excess in shown:
        style = {**_style(point), "ls": ""}
        axes.errorbar(100 * point.cost, excess, yerr=_whiskers(point, excess), label=point.title, **style)
    if shown and all(point.cost > 0 for point, _ in shown):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("cost, in per cent of one retraining")
    axes.set_ylabel(f"excess, {charts.primary.title}")
    axes.set_title("Excess in the nearest stratum over cost")
    if shown:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))


def logarithmic(result: ChartResult) -> bool:
    """Tell whether the values differ so much that a linear axis would hide the small ones."""
    values = [v for line in result.lines.values() for v in line if v is not None]
    values += [v for v in result.floor or () if v is not None]
    positive = [v for v in values if v > 0]
    return bool(positive) and min(values) >= 0 and max(positive) / min(positive) > LOGARITHMIC_FROM


def _whiskers(point: CostPoint, excess: float) -> list[list[float]] | None:
    if point.lower is None or point.upper is None:
        return None
    return [[max(0.0, excess - point.lower)], [max(0.0, point.upper - excess)]]


def _style(model: ChartModel | CostPoint) -> dict[str, Any]:
    if model.role == "original":
        return {"color": INK, "ls": ":", "marker": "o", "ms": 4, "lw": 1.5}
    if model.role == "untrained":
        return {"color": SOFT, "ls": "--", "marker": "o", "ms": 4, "lw": 1.5}
    slot = model.slot
    return {
        "color": COLOURS[slot % len(COLOURS)],
        "ls": DASHES[slot % len(DASHES)],
        "marker": MARKERS[slot % len(MARKERS)],
        "ms": 5,
        "lw": 1.75,
    }


def _plottable(values: tuple[float | None, ...]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
