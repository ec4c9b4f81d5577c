"""Makes docs/results.md and its figure from what the study on all of CIFAR-100 found.

    python docs/making/results.py                    # from the saved reports in docs/results/cifar100/
    python docs/making/results.py add runs/cifar100  # save the reports and facts of a finished study first
    python docs/making/results.py twice runs/from_originals  # those of models that were unlearned again, two seeds each

The study itself: `cifar100.py`; again, from its originals: `from_originals.py`. The comparison with the paper's code:
`side_by_side.py`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import jinja2
import second_run

from unlearn_audit.auditing.questions import Answer, Finding
from unlearn_audit.auditing.report import AuditReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOCS = Path(__file__).parents[1]
SAVED, PAGE, TEMPLATE = DOCS / "results" / "cifar100", DOCS / "results.md", Path(__file__).with_name("results.md.jinja")
FIGURE = SAVED / "nearness.svg"
FORGET_SETS = {"boy": 'half of "boy"', "road": 'half of "road"', "random": "1 % at random"}
TITLES = {
    "gradient_ascent": "GA",
    "gradient_ascent_ft": "GA + FT",
    "random_labels": "RL",
    "random_labels_ft": "RL + FT",
    "finetune": "FT",
    "salun": "SalUn",
    "neggrad_plus": "NegGrad+",
    "scrub": "SCRUB",
    "ssd": "SSD",
    "amun": "AMUN",
    "ltd": "LTD",
    "ltd_knn": "LTD, k-NN labels",
    "anchored": "ALD",
    "anchored_reset": "ALD, reset teacher",
    "anchored_wide": "ALD, reset teacher, all retained",
    "original": "no-op (original)",
}
DRAWN = ("gradient_ascent", "random_labels_ft", "ltd", "ltd_knn", "anchored_reset", "original")
HEAD = (
    *("", "forgotten?", "level, points", "pattern", "neighbours?", "same class, points", "same class", "nearest 1 %"),
    *("unseen neighbours", "rest?", "average gap, points", "ToW", "cost, %"),
)
DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Audited:
    """The audits of one forget set, one for each original model.

    Attributes:
        name: of the forget set.
        reports: one for each original.
        facts: what the jobs of the study found, by name.
    """

    name: str
    reports: tuple[AuditReport, ...]
    facts: Mapping[str, Mapping[str, Any]]

    @classmethod
    def load(cls, name: str) -> Audited:
        """Read the saved reports."""
        return cls._read(name, f"{name}-[0-9].json", "facts.json")

    @classmethod
    def twice(cls, name: str) -> Audited:
        """Read those of models that were unlearned again from the shipped originals, with two seeds each."""
        return cls._read(name, f"twice-{name}-[0-9].json", "twice.json")

    @classmethod
    def _read(cls, name: str, reports: str, facts: str) -> Audited:
        texts = (path.read_text(encoding="utf-8") for path in sorted(SAVED.glob(reports)))
        found = json.loads((SAVED / facts).read_text(encoding="utf-8"))
        return cls(name, tuple(AuditReport.from_json(text) for text in texts), found)

    @cached_property
    def methods(self) -> list[str]:
        """The rows of the table: all that every report judges, in the order of `TITLES`."""
        return [label for label in TITLES if all(label in report.judgements for report in self.reports)]

    def findings(self, label: str, group: str, kind: str) -> list[Finding]:
        """What each report found of a method on a group of examples; "level" or "pattern"."""
        return [
            found
            for report in self.reports
            for answer in report.judgements[label].answers
            for found in answer.findings
            if (found.group, found.kind) == (group, kind)
        ]

    def level(self, label: str, group: str) -> list[float]:
        """Mean confidence in the label less that of retrained models, in points, by original."""
        return [100 * found.difference for found in self.findings(label, group, "level")]

    def pattern(self, label: str, group: str) -> list[float]:
        """Discrepancy over the noise floor, by original."""
        return [found.value / found.expected for found in self.findings(label, group, "pattern") if found.expected]

    def expected_level(self, group: str) -> float:
        """Mean confidence in the label of the retrained models, in per cent."""
        return 100 * self.findings("original", group, "level")[0].expected

    def answer(self, label: str, question: str) -> str:
        """The answers to one question, once where those for both originals are the same."""
        answers = [a for r in self.reports for a in r.judgements[label].answers if a.question == question]
        return " / ".join(dict.fromkeys(map(_said, answers)))

    def aggregate(self, label: str, figure: str) -> float:
        """The mean over originals of one aggregate figure."""
        return fmean(getattr(report.aggregate[label], figure) for report in self.reports)

    def objective(self, label: str) -> float:
        """The least objective of a method's trials on this forget set, in tolerances."""
        trials = [fact for name, fact in self.facts.items() if name.rpartition("-")[0] == f"trial-{self.name}-{label}"]
        return min(fact["objective"] for fact in trials if "objective" in fact)

    def cost(self, label: str) -> float | None:
        """Wall time as a share of one retraining."""
        own = [
            fact["seconds"]
            for name, fact in self.facts.items()
            if name.startswith(f"final-{self.name}-{label}-original")
        ]
        retrained = [fact["seconds"] for name, fact in self.facts.items() if name.startswith("train-retrained")]
        return fmean(own) / fmean(retrained) if own else None

    def seeds(self) -> str:
        """Return a table of how well each seed recognises the forget set, above or below retrained models."""
        expected = self.expected_level("forget")
        rows = []
        for label in self.methods:
            by_original: dict[str, list[float]] = {}
            for name, fact in sorted(self.facts.items()):
                if name.startswith(f"final-{self.name}-{label}-original") and "confidence" in fact:
                    original = name.rsplit("-", 2)[1]
                    by_original.setdefault(original, []).append(100 * fact["confidence"] - expected)
            if by_original:
                rows.append(f"| {TITLES[label]} | " + " | ".join(map(_points, by_original.values())) + " |")
        return "\n".join(["|  | first original | second original |", "| --- | ---: | ---: |", *rows])

    def table(self) -> str:
        """Return the table of three questions, with aggregate figures and cost."""
        return markdown_table([[TITLES[label], *self._row(label)] for label in self.methods])

    def _row(self, label: str) -> Iterator[str]:
        yield self.answer(label, "forgotten")
        yield _points(self.level(label, "forget"))
        yield _ratios(self.pattern(label, "forget"))
        yield self.answer(label, "neighbours")
        yield _points(self.level(label, "same_class_retain"))
        for group in ("same_class_retain", "nearest_retain", "near_test"):
            yield _ratios(self.pattern(label, group))
        yield self.answer(label, "rest")
        yield f"{100 * self.aggregate(label, 'average_gap'):.1f}"
        yield f"{self.aggregate(label, 'tug_of_war'):.2f}"
        yield DASH if (cost := self.cost(label)) is None else f"{100 * cost:.2g}"


def _said(answer: Answer) -> str:
    if answer.outcome == "pass":
        return "yes"
    return "?" if answer.outcome == "inconclusive" else f"no: {answer.how}"


def _points(values: list[float]) -> str:
    return ", ".join(f"{value:+.0f}" for value in values) or DASH


def _ratios(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" if value < 9.95 else f"{value:.0f}" for value in values) or DASH


def markdown_table(rows: list[list[str]]) -> str:
    """Return the rows under `HEAD`, all columns but the first aligned right."""
    lines = [list(HEAD), ["---", *["---:"] * (len(HEAD) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def add(run: Path) -> None:
    """Save the reports and facts of a finished study, figures to six digits."""
    SAVED.mkdir(parents=True, exist_ok=True)
    for folder in sorted((run / "reports").iterdir()):
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        name, _, number = folder.name.partition("-original-")
        _write(SAVED / f"{name}-{number}.json", report)
    facts = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((run / "facts").glob("*.json"))}
    _write(SAVED / "facts.json", facts)


def add_twice(run: Path) -> None:
    """Save the reports of `from_originals.py`, and its costs: CPU seconds, since several ran on the same cores."""
    for path in sorted((run / "reports").glob("*.json")):
        _write(SAVED / f"twice-{path.name}", json.loads(path.read_text(encoding="utf-8")))
    found = {}
    for path in sorted((run / "facts").glob("*.json")):
        fact = json.loads(path.read_text(encoding="utf-8"))
        forget, _, rest = path.stem.partition("-")
        if rest == "retraining":
            found[f"train-retrained-{forget}"] = {"seconds": fact["cpu_seconds"]}
        else:
            known = {"seconds": fact["cpu_seconds"], "confidence": fact["confidence"]} if "error" not in fact else fact
            found[f"final-{forget}-{_named(rest)}"] = known
    _write(SAVED / "twice.json", found)


def _named(rest: str) -> str:
    """Return LABEL-original-NUMBER-SEED of LABEL-NUMBER-SEED, as the study calls its models."""
    label, original, seed = rest.rsplit("-", 2)
    return f"{label}-original-{original}-{seed}"


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(second_run.short(content), separators=(",", ":")) + "\n", encoding="utf-8")


def render() -> str:
    """Return the page."""
    studies = {name: Audited.load(name) for name in FORGET_SETS}
    facts = studies["boy"].facts
    beside = json.loads((SAVED / "side_by_side.json").read_text(encoding="utf-8"))
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True)
    environment.filters["with_error"] = _with_error
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        studies=studies,
        twice=Audited.twice("boy"),
        titles=FORGET_SETS,
        names=TITLES,
        failed={label: _diverged(facts, label) for label in TITLES if _diverged(facts, label)},
        second=second_run,
        beside={name: found for name, found in beside.items() if name != "original"},
    )


def _with_error(shares: list[float]) -> str:
    """Return the mean over seeds in per cent, with its standard error."""
    return f"{100 * fmean(shares):.1f} ± {100 * stdev(shares) / len(shares) ** 0.5:.1f}"


def _diverged(facts: Mapping[str, Mapping[str, Any]], label: str) -> int:
    return sum(
        "error" in fact
        for name, fact in facts.items()
        if name.startswith(("trial-boy", "trial-random")) and f"-{label}-" in name
    )


def draw(path: Path) -> None:
    """Draw discrepancy over floor by nearness, on retained and unseen examples, for each forget set."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "unlearn-audit"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(FORGET_SETS), figsize=(11, 6.4), sharex=True, layout="constrained")
    for column, (name, title) in enumerate(FORGET_SETS.items()):
        study = Audited.load(name)
        for row, (population, shown) in enumerate({"retain": "retained", "test": "unseen"}.items()):
            _draw(axes[row, column], study, population)
            axes[row, column].set_title(f"{title}: {shown} examples", fontsize=10)
    for each in axes[1]:
        each.set_xlabel("nearness to the forget set: tenth")
    for each in axes[:, 0]:
        each.set_ylabel("discrepancy / noise floor")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9, frameon=False
    )
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _draw(axes: Axes, study: Audited, population: str) -> None:
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

    from unlearn_audit.reporting.plots import COLOURS, MARKERS

    references = [m.name for m in study.reports[0].by_role("reference")]
    curves = [_curve(study.reports[0], name, population) for name in references]
    places = range(1, len(curves[0]) + 1)
    axes.fill_between(
        places,
        [min(c) for c in zip(*curves, strict=True)],
        [max(c) for c in zip(*curves, strict=True)],
        color="0.85",
        label="retrained, left out",
    )
    for number, label in enumerate(label for label in DRAWN if label in study.methods):
        values = [
            fmean(pair) for pair in zip(*(_curve(report, label, population) for report in study.reports), strict=True)
        ]
        style = {"color": "black", "ls": "--"} if label == "original" else {"color": COLOURS[number]}
        axes.plot(places, values, marker=MARKERS[number % len(MARKERS)], ms=4, lw=1.2, label=TITLES[label], **style)
    axes.set_yscale("log")
    axes.set_xticks([1, 5, 10], ["nearest", "5", "farthest"])
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(
        FixedLocator([1, 1.5, 2, 3, 5, 8, 12] if high / low > 3 else [0.9, 1, 1.1, 1.25, 1.5, 2])
    )
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25)


def _curve(report: AuditReport, label: str, population: str) -> list[float]:
    comparison = report.comparison(label, population, report.policy.measure)
    if comparison is None:
        raise ValueError(f"Expected {label} to be compared on the {population} set.")
    return [stratum.ratio if stratum.ratio is not None else float("nan") for stratum in comparison.strata]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Make docs/results.md from the saved reports, or save them first.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("add", help="save a finished study's reports and facts").add_argument("run", type=Path)
    twice = commands.add_parser("twice", help="save the reports and costs of `from_originals.py`")
    twice.add_argument("run", type=Path)
    given = parser.parse_args()
    if given.command is not None:
        {"add": add, "twice": add_twice}[given.command](given.run)
    draw(FIGURE)
    PAGE.write_text(render(), encoding="utf-8")
    print(PAGE, FIGURE, sep="\n")


if __name__ == "__main__":
    main()
