"""The second run of the study on all of CIFAR-100: what its trials found.

python docs/making/second_run.py runs/cifar100   # save the facts of the run
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

SAVED = Path(__file__).parents[1] / "results" / "cifar100"
FACTS = SAVED / "second.json"
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


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def save(run: Path) -> None:
    """Save the facts of a run to six digits."""
    kept = ("train-", "trial-", "final-", "untouched-")
    found = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((run / "facts").glob("*.json"))
        if path.name.startswith(kept)
    }
    text = json.dumps(short(found), separators=(",", ":"))
    FACTS.write_text(text.replace('},"', '},\n"') + "\n", encoding="utf-8")


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
    save(parser.parse_args().run)


if __name__ == "__main__":
    main()
