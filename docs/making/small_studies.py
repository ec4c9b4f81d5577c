"""Makes docs/small-studies.md and its plots from the saved reports in docs/results/.

    python docs/making/small_studies.py                          # the page and the plots
    python docs/making/small_studies.py add CONFIG --output RUN  # save the report of a finished study first

A saved report is the study's own `report.json` with the measure of its policy alone, and the trials of its tuning.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from scipy.stats import t as student

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.auditing.statistics import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

DOCS = Path(__file__).parents[1]
SAVED, PAGE, TEMPLATE = DOCS / "results", DOCS / "small-studies.md", Path(__file__).with_name("small_studies.md.jinja")
METHODS = {
    "gradient_ascent": "GA",
    "gradient_ascent_ft": "GA + FT",
    "random_labels": "RL",
    "random_labels_ft": "RL + FT",
    "finetune": "FT",
    "salun": "SalUn",
    "ltd": "LTD",
    "ltd_knn": "LTD, k-NN labels",
    "anchored": "Anchored (ALD)",
    "original": "no-op (original)",
}
RETRAINED = "retrained, left out"
ALPHA = 0.05
TOLERATED = 0.05  # of the recognised share: five points, as the policy tolerates of confidence
RATIOS = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
COSTS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
PLACES = {"nearest": ("retain", 0), "forget": ("forget", "overall")}
DASH = "\N{EN DASH}"
FORGOTTEN_TITLES = {
    "cifar100_memorising": 'CIFAR-100, memorised, half of "boy"',
    "cifar100_memorising-road": 'CIFAR-100, memorised, half of "road"',
    "cifar100_generalising": 'CIFAR-100, with augmentation, half of "boy"',
    "digits_tuned": "Digits, half of class 8",
}


@dataclass(frozen=True)
class Saved:
    """A finished study or audit.

    Attributes:
        name: of its file.
        command: that made it.
        report: with the measure of its policy alone.
        trials: of its tuning, by method.
        costs: CPU time by candidate, as a share of one retraining.
    """

    name: str
    command: str
    report: AuditReport
    trials: Mapping[str, Sequence[Mapping[str, Any]]]
    costs: Mapping[str, float]

    @classmethod
    def load(cls, path: Path) -> Saved:
        """Read a saved report."""
        content = json.loads(path.read_text(encoding="utf-8"))
        report = AuditReport.from_json(json.dumps(content["report"]))
        return cls(path.stem, content["command"], report, content["trials"], content["costs"])

    def save(self) -> Path:
        """Write it to the folder of saved reports."""
        report = json.loads(self.report.to_json())
        content = {"command": self.command, "trials": self.trials, "costs": self.costs, "report": report}
        path = SAVED / f"{self.name}.json"
        path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
        return path

    @cached_property
    def rows(self) -> dict[str, tuple[str, ...]]:
        """The rows of a table: title, and the models that it is the mean of."""
        models = [m.name for m in self.report.by_role("candidate")] + [m.name for m in self.report.by_role("original")]
        found = {METHODS.get(name, name): (name,) for name in models}
        return {**found, RETRAINED: tuple(m.name for m in self.report.by_role("reference"))}

    def comparisons(self, title: str, population: str) -> list[Comparison]:
        """The comparisons of a row's models on a population."""
        found = [self.report.comparison(name, population, self.report.policy.measure) for name in self.rows[title]]
        return [comparison for comparison in found if comparison is not None]

    def ratios(self, title: str, population: str, group: int | str) -> list[float]:
        """The ratios of a row's models on a stratum, or "nearest" (the policy's strata together) or "overall"."""
        chosen = [
            getattr(comparison, group) if isinstance(group, str) else comparison.strata[group]
            for comparison in self.comparisons(title, population)
        ]
        return [found.ratio for found in chosen if found.ratio is not None]

    def ratio(self, title: str, population: str, group: int | str) -> float | None:
        """Their mean."""
        return fmean(found) if (found := self.ratios(title, population, group)) else None

    def accuracy(self, title: str, population: str) -> float:
        """The mean accuracy of a row's models."""
        return fmean(getattr(self.report.aggregate[name], f"{population}_accuracy") for name in self.rows[title])

    def cost(self, title: str) -> float | None:
        """CPU time as a share of one retraining."""
        return self.costs.get(self.rows[title][0])

    def verdict(self, title: str) -> str:
        """The verdict, of a candidate."""
        found = self.report.verdicts.get(self.rows[title][0])
        return found.outcome if found else ""

    def table(self, population: str) -> str:
        """Return the table of one population: ratio by stratum, and beside the retain set that of the forget set."""
        beside = ["forget", "verdict"] if population == "retain" else []
        head = ["", *(stratum.label for stratum in self.report.strata), *beside]
        return markdown_table(head, [self._row(title, population)[: len(head)] for title in self.rows])

    def _row(self, title: str, population: str) -> list[str]:
        write = _range if title == RETRAINED else _mean
        cells = [write(self.ratios(title, population, stratum)) for stratum in range(len(self.report.strata))]
        return [title, *cells, write(self.ratios(title, "forget", "overall")), self.verdict(title)]

    def forgotten(self) -> str:
        """Return the table of recognised deleted examples: in per cent, beside retrained models, with a p-value."""
        rows = []
        for title in self.rows:
            if title == RETRAINED:
                continue
            share, p_value = self.accuracy(title, "forget"), self.recognition_p(title)
            retrained = self.retrained_recognition()
            gap = 100 * (share - fmean(retrained))
            rows.append([title, f"{100 * share:.1f}", f"{gap:+.1f}", _p(p_value), self.memory(title)])
        low, high = (100 * bound(self.retrained_recognition()) for bound in (min, max))
        rows.append([RETRAINED, f"{low:.1f} to {high:.1f}", "", "", ""])
        return markdown_table(["", "recognised, %", "less retrained, points", "p", ""], rows)

    def retrained_recognition(self) -> list[float]:
        """Return the share of the forget set that each retrained model classifies correctly."""
        found = [self.report.aggregate[model.name].forget_accuracy for model in self.report.by_role("reference")]
        return [share for share in found if share is not None]

    def recognition_p(self, title: str) -> float:
        """Return the two-sided p-value of a row's recognised share against the retrained models' (Student's t)."""
        retrained = np.array(self.retrained_recognition())
        error = retrained.std(ddof=1) * np.sqrt(1 + 1 / len(retrained))
        return float(2 * student.sf(abs(self.accuracy(title, "forget") - retrained.mean()) / error, len(retrained) - 1))

    def memory(self, title: str) -> str:
        """Say whether a row remembers or over-forgets, where the difference is beyond chance and five points."""
        gap = self.accuracy(title, "forget") - fmean(self.retrained_recognition())
        if abs(gap) <= TOLERATED or self.recognition_p(title) > ALPHA:
            return ""
        return "remembers" if gap > 0 else "over-forgets"

    def usual(self) -> str:
        """Return the table of what is usually reported: accuracy in per cent, average gap, Tug-of-War, cost."""
        rows = []
        for title, names in self.rows.items():
            accuracies = [f"{100 * self.accuracy(title, name):.1f}" for name in ("retain", "forget", "test")]
            figures = [self.report.aggregate[name] for name in names]
            gap, tug = (fmean(getattr(found, name) for found in figures) for name in ("average_gap", "tug_of_war"))
            rows.append([title, *accuracies, f"{100 * gap:.1f}", f"{tug:.2f}", _percent(self.cost(title))])
        return markdown_table(["", "retain %", "forget %", "test %", "average gap, points", "ToW", "cost"], rows)

    def contrasts(self) -> str:
        """Return the table of the locality contrast on retain and test examples."""
        head = ["", "retain: nearest less farthest", "p", "test: nearest less farthest", "p"]
        rows = []
        for title in [title for title in self.rows if title != RETRAINED]:
            cells = []
            for population in ("retain", "test"):
                (comparison,) = self.comparisons(title, population)
                contrast = comparison.contrast
                known = contrast is not None and contrast.difference is not None
                cells += [f"{contrast.difference:+.2f}", _p(contrast.p_value)] if known else [DASH, DASH]
            rows.append([title, *cells])
        return markdown_table(head, rows)

    def contrasts_note(self) -> str:
        """Say for which models the nearest stratum is significantly further than the farthest."""
        found = []
        for title in [title for title in self.rows if title != RETRAINED]:
            (comparison,) = self.comparisons(title, "retain")
            contrast = comparison.contrast
            if contrast is not None and contrast.p_value is not None and contrast.p_value < ALPHA:
                found.append(f"{title} ({_p(contrast.p_value)})")
        named = ", ".join(found) or "none"
        return f"Further from retraining near the forget set than far from it, one-sided p < {ALPHA} each: {named}."

    def tuning(self) -> str:
        """Return the table of what tuning found."""
        head = ["", "trials", "learning rate", "epochs", "objective: best", "worst", "seconds in all"]
        rows = []
        for label, trials in self.trials.items():
            best = min(trials, key=lambda trial: trial["objective"])
            worst = max(trial["objective"] for trial in trials)
            rate, objective = f"{best['learning_rate']:.2g}", best["objective"]
            seconds = sum(trial["seconds"] for trial in trials)
            row = [METHODS.get(label, label), len(trials), rate, f"{best['epochs']:g}", f"{objective:.2f}"]
            rows.append([*row, f"{worst:.2f}", f"{seconds:.0f}"])
        return markdown_table(head, rows)


def markdown_table(head: Sequence[str], rows: Iterator[Sequence[Any]] | Sequence[Sequence[Any]]) -> str:
    """Return a table in Markdown; the first column stands left, the others right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _figure(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _mean(values: Sequence[float]) -> str:
    return _figure(fmean(values)) if values else DASH


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}" if values else DASH


def _percent(share: float | None) -> str:
    return DASH if share is None else f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1f} %"


def _p(value: float | None) -> str:
    return DASH if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def add(config: Path, settings: Sequence[str], output: Path | None, name: str | None) -> Path:
    """Save the report of a finished study."""
    from unlearn_audit.experiment import Study, read_study
    from unlearn_audit.experiment.recipes import costs_of

    study = Study.plan(read_study(config, settings=settings), output)
    report = AuditReport.load(study.store.folder(study.stages[-1]) / "report")
    tuned = [stage for stage in study.stages if stage.name.startswith("tune-")]
    trials = {stage.name.removeprefix("tune-"): study.store.manifest(stage)["results"]["trials"] for stage in tuned}
    kept = [setting for setting in settings if not setting.startswith(("data.source=", "data.cache_dir="))]
    command = ["unlearn-audit", "run", config.as_posix(), *(part for setting in kept for part in ("--set", setting))]
    return Saved(name or study.config.name, shlex.join(command), _narrowed(report), trials, costs_of(study)).save()


def add_audit(folder: Path, command: str, name: str) -> Path:
    """Save the report of an audit in a folder."""
    return Saved(name, command, _narrowed(AuditReport.load(folder)), {}, {}).save()


def _narrowed(report: AuditReport) -> AuditReport:
    """Return the report with the measure of its policy alone."""
    kept = tuple(result for result in report.results if result.measure == report.policy.measure)
    return dataclasses.replace(report, results=kept)


def make() -> list[Path]:
    """Write the page and its plots."""
    saved = {path.stem: Saved.load(path) for path in sorted(SAVED.glob("*.json"))}
    written = [draw(saved[name], SAVED / f"{name}.svg") for name in saved if saved[name].costs]
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"figure": _figure, "percent": _percent}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    text = template.render(
        studies=saved,
        table=markdown_table,
        retrained=RETRAINED,
        best=_best,
        forgotten_titles=FORGOTTEN_TITLES,
        **_comparisons(saved),
    )
    PAGE.write_text(text, encoding="utf-8")
    return [*written, PAGE]


def _best(study: Saved, label: str) -> float:
    return min(trial["objective"] for trial in study.trials[label])


def _comparisons(saved: Mapping[str, Saved]) -> dict[str, Any]:
    """Return the tables that go across studies: LTD and ALD, other neighbourhoods, other shares."""
    whole = [study for study in saved.values() if study.costs]
    audits = [name for name in saved if name.endswith(("-knn", "-pixels"))]
    shares = [name for name in saved if name.startswith("digits_share")]
    return {
        "beyond": [_beyond(study) for study in whole],
        "audits": audits,
        "neighbourhoods": [
            _by_neighbourhood(saved[name])
            for name in saved
            if name.startswith("cifar100") and not name.endswith("-road")
        ],
        "fraction_names": shares,
        "fractions": _by_share({"0.1": "digits_share-0.1", "0.5": "digits_tuned", "1.0": "digits_share-1.0"}, saved),
    }


def _beyond(study: Saved) -> list[str]:
    pair = (METHODS["ltd"], METHODS["anchored"])
    ratios = [[_figure(study.ratio(title, *where)) for title in pair] for where in PLACES.values()]
    return [study.name, *(_percent(study.cost(title)) for title in pair), *ratios[0], *ratios[1]]


def _by_neighbourhood(study: Saved) -> list[str]:
    kind = study.report.neighbourhood
    ratios = [_figure(study.ratio("GA", "retain", stratum)) for stratum in range(len(study.report.strata))]
    name = study.name.removesuffix("-pixels").removesuffix("-knn")
    embedding = "pixels" if study.name.endswith("pixels") else kind.embedding
    return [name, kind.proximity, embedding, *ratios, _figure(study.ratio(METHODS["original"], "retain", 0))]


def _by_share(names: Mapping[str, str], saved: Mapping[str, Saved]) -> str:
    """Return the table of ratios by the share of a class that is deleted."""
    studies = {share: saved[name] for share, name in names.items()}
    head = ["", *(f"{place}: {share}" for place in PLACES for share in studies)]
    titles = [title for title in studies["0.1"].rows if title != RETRAINED]
    rows = [
        [title, *(_figure(study.ratio(title, *where)) for where in PLACES.values() for study in studies.values())]
        for title in titles
    ]
    return markdown_table(head, rows)


def draw(study: Saved, path: Path) -> Path:
    """Draw ratio by nearness on retain and test examples, and the nearest ratio over cost."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    from unlearn_audit.reporting.plots import STYLE

    with mpl.rc_context({**STYLE, "font.size": 8}):
        figure = Figure(figsize=(10, 3.7), layout="constrained")
        FigureCanvasSVG(figure)
        left, middle, right = figure.subplots(1, 3)
        for axes, population in ((left, "retain"), (middle, "test")):
            _draw_nearness(axes, study, population)
        _draw_cost(right, study)
        _legend(figure, left)
        figure.savefig(path, metadata={"Date": None})
    return path


def _draw_nearness(axes: Axes, study: Saved, population: str) -> None:
    from unlearn_audit.reporting.plots import BAND, SOFT

    strata = range(len(study.report.strata))
    others = [study.ratios(RETRAINED, population, s) for s in strata]
    places = [s for s in strata if others[s]]
    axes.fill_between(places, [min(others[s]) for s in places], [max(others[s]) for s in places], color=BAND, lw=0)
    axes.axhline(1, color=SOFT, lw=1)
    for title in (title for title in study.rows if title != RETRAINED):
        values = [study.ratio(title, population, s) for s in strata]
        known = [s for s in strata if values[s] is not None]
        axes.plot(known, [values[s] for s in known], label=title, **_style(title))
    _ratio_axis(axes)
    labels = [record.label.replace(" to ", "-") for record in study.report.strata]
    axes.set_xticks(list(strata), labels, rotation=25, ha="right", rotation_mode="anchor")
    axes.set_title(f"{population} set: discrepancy / noise floor")


def _draw_cost(axes: Axes, study: Saved) -> None:
    from unlearn_audit.reporting.plots import SOFT

    axes.axhline(1, color=SOFT, lw=1)
    for title in (title for title in study.rows if title not in (RETRAINED, METHODS["original"])):
        ratio, cost = study.ratio(title, "retain", "nearest"), study.cost(title)
        if ratio is not None and cost:
            axes.plot(100 * cost, ratio, **{**_style(title), "lw": 0, "ms": 7})
    axes.set_xscale("log")
    _plain_ticks(axes.xaxis, COSTS)
    _ratio_axis(axes)
    axes.set_xlabel("cost, % of one retraining")
    axes.set_title("nearest retain examples: ratio by cost")


def _plain_ticks(axis: Axis, values: Sequence[float]) -> None:
    """Put plain numbers on a logarithmic axis, those of `values` that fit its range."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _ratio_axis(axes: Axes) -> None:
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    fine = high / low < 6
    _plain_ticks(axes.yaxis, (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 2.5, 3, 4) if fine else RATIOS)


def _style(title: str) -> dict[str, Any]:
    from unlearn_audit.reporting.plots import COLOURS, MARKERS

    place = list(METHODS.values()).index(title) if title in METHODS.values() else len(METHODS)
    if title == METHODS["original"]:
        return {"color": "black", "marker": "x", "ms": 4, "lw": 1, "ls": "--"}
    colours = (*COLOURS, "#c1121f")
    return {"color": colours[place % len(colours)], "marker": MARKERS[place % len(MARKERS)], "ms": 4, "lw": 1.2}


def _legend(figure: Figure, axes: Axes) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8, frameon=False)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Make docs/small-studies.md from the saved reports, or save one.")
    commands = parser.add_subparsers(dest="command")
    study = commands.add_parser("add", help="save the report of a finished study")
    study.add_argument("config", type=Path)
    study.add_argument("--set", dest="settings", action="append", default=[])
    study.add_argument("--output", type=Path)
    study.add_argument("--name")
    audit = commands.add_parser("add-audit", help="save the report in a folder")
    audit.add_argument("folder", type=Path)
    audit.add_argument("--made-by", required=True)
    audit.add_argument("--name", required=True)
    given = parser.parse_args()
    if given.command == "add":
        print(add(given.config, given.settings, given.output, given.name))
    elif given.command == "add-audit":
        print(add_audit(given.folder, given.made_by, given.name))
    else:
        print(*make(), sep="\n")


if __name__ == "__main__":
    main()
