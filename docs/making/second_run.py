"""The second run of the study on all of CIFAR-100: what its trials found, and audits by the benchmark that it left.

python docs/making/second_run.py runs/cifar100 REPORT...   # save the facts of the run, and of reports by a benchmark
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from unlearn_audit.auditing.questions import Answer
from unlearn_audit.auditing.report import AuditReport

SAVED = Path(__file__).parents[1] / "results" / "cifar100"
FACTS, AUDITS = SAVED / "second.json", SAVED / "by_benchmark.json"
NAMES = {
    "anchored_reset": "ALD, reset teacher",
    "anchored_wide": "ALD, reset teacher, all retained",
    "ltd": "LTD, 2 epochs",
    "ltd_10": "LTD, 10 epochs",
    "ltd_knn": "LTD, k-NN labels",
    "amun": "AMUN",
    "random_labels_ft": "RL + FT",
    "salun": "SalUn",
    "gradient_ascent_ft": "GA + FT",
    "neggrad_plus": "NegGrad+",
    "finetune": "FT",
    "scrub": "SCRUB",
    "ssd": "SSD",
    "random_labels": "RL",
    "gradient_ascent": "GA",
    "eu_k": "EU-k, 6 layers, 2 epochs",
}
GROUPS = ("forget", "near", "rest")
Facts = Mapping[str, Mapping[str, Any]]


def facts() -> Facts:
    """Return what the jobs found, by their names."""
    found: Facts = json.loads(FACTS.read_text(encoding="utf-8"))
    return found


def best(found: Facts, forget: str, label: str) -> Mapping[str, Any]:
    """Return the trial of a method with the least objective."""
    trials = [fact for name, fact in found.items() if name.startswith(f"trial-{forget}-{label}-")]
    return min((fact for fact in trials if "objective" in fact), key=lambda fact: float(fact["objective"]))


def table(forget: str) -> str:
    """Return the best trial of each method against one held-out retrained model, nearest first."""
    found = facts()
    retraining = fmean(fact["seconds"] for name, fact in found.items() if name.startswith("train-retrained"))
    trials = {name: best(found, forget, label) for label, name in NAMES.items()}
    trials["no-op (original)"] = found[f"untouched-{forget}"]
    head = ["", "forget set, points", "nearest 1,000, points", "others, points", "objective", "cost, %"]
    rows = [
        [
            name,
            *(f"{100 * trial[group]['level']:+.0f}" for group in GROUPS),
            f"{trial['objective']:.1f}",
            f"{100 * trial['seconds'] / retraining:.2g}" if "seconds" in trial else "–",  # noqa: RUF001
        ]
        for name, trial in sorted(trials.items(), key=lambda item: float(item[1]["objective"]))
    ]
    return _markdown(head, rows)


def audits() -> str:
    """Return the answers of models that were audited by the shipped benchmark."""
    head = ["", "original", "forgotten?", "points", "neighbours?", "same class, points", "rest?"]
    rows = [
        [
            NAMES[row["label"]],
            row["original"],
            row["forgotten"],
            f"{100 * row['level']:+.0f}",
            row["neighbours"],
            f"{100 * row['same_class']:+.0f}",
            row["rest"],
        ]
        for row in json.loads(AUDITS.read_text(encoding="utf-8"))
    ]
    return _markdown(head, rows)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def save(run: Path, reports: list[Path]) -> None:
    """Save the facts of a run to six digits, and the answers of reports whose candidates are called LABEL-ORIGINAL."""
    kept = ("train-", "trial-", "final-", "untouched-")
    found = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((run / "facts").glob("*.json"))
        if path.name.startswith(kept)
    }
    text = json.dumps(short(found), separators=(",", ":"))
    FACTS.write_text(text.replace('},"', '},\n"') + "\n", encoding="utf-8")
    rows = [row for report in reports for row in _answers(AuditReport.load(report))]
    AUDITS.write_text(json.dumps(short(rows), indent=1) + "\n", encoding="utf-8")


def _answers(report: AuditReport) -> list[dict[str, Any]]:
    rows = []
    for name in sorted(report.verdicts):
        label, _, original = name.rpartition("-")
        if label in NAMES:
            answers = report.judgements[name].answers
            levels = {f.group: f.difference for a in answers for f in a.findings if f.kind == "level"}
            said = {answer.question: _said(answer) for answer in answers}
            told = {"level": levels["forget"], "same_class": levels["same_class_retain"]}
            rows.append({"label": label, "original": original, **said, **told})
    return sorted(rows, key=lambda row: list(NAMES).index(row["label"]))


def _said(answer: Answer) -> str:
    return {"pass": "yes", "fail": f"no: {answer.how}"}.get(answer.outcome, "?")


def short(content: Any) -> Any:
    """Return the same with figures to six digits."""
    if isinstance(content, float):
        return float(f"{content:.6g}")
    if isinstance(content, dict):
        return {name: short(value) for name, value in content.items()}
    return [short(value) for value in content] if isinstance(content, list) else content


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a study that is done")
    parser.add_argument("reports", type=Path, nargs="*", help="folders of `unlearn-audit benchmark`")
    given = parser.parse_args()
    save(given.run, given.reports)


if __name__ == "__main__":
    main()
