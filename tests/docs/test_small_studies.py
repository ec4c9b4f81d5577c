"""docs/small-studies.md: made from the saved reports by its command, and in agreement with the recipes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from unlearn_audit.experiment.recipes import recipes_in

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "making"))
import small_studies as results  # noqa: E402

SAVED = sorted(results.SAVED.glob("*.json"))


def test_the_page_is_what_the_command_makes(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "PAGE", tmp_path / "small-studies.md")
    monkeypatch.setattr(results, "draw", lambda study, path: path)
    results.make()
    assert (tmp_path / "small-studies.md").read_text() == (ROOT / "docs" / "small-studies.md").read_text()


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_a_saved_report_holds_the_figures_of_the_page(path):
    study = results.Saved.load(path)
    page = (ROOT / "docs" / "small-studies.md").read_text()
    assert study.command in page
    if study.trials:
        assert study.table("retain") in page
        assert (results.SAVED / f"{path.stem}.svg").is_file()


@pytest.mark.parametrize("path", sorted(recipes_in(ROOT / "examples" / "recipes")), ids=lambda path: path.stem)
def test_a_recipe_measured_what_the_saved_report_says(path):
    content = yaml.safe_load(path.read_text())
    (label,) = content["methods"]
    study = results.Saved.load(results.SAVED / f"{path.stem.removesuffix(f'-{label}')}.json")
    comparison = study.report.comparison(label, "retain", study.report.policy.measure)
    found = {s.label: round(c.ratio, 3) for s, c in zip(study.report.strata, comparison.strata, strict=True)}
    assert {entry["stratum"]: entry["ratio"] for entry in content["measured"]["retain"]} == found


def test_ranges_and_figures_are_written_shortly():
    assert results._figure(1.234) == "1.23" and results._figure(12.3) == "12" and results._figure(None) == results.DASH
    assert results._range([0.9, 1.1]) == "0.90 to 1.10" and results._range([]) == results.DASH
    assert results.markdown_table(["", "a"], [["x", 1]]) == "|  | a |\n| --- | ---: |\n| x | 1 |"
