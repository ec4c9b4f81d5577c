"""The recipes: each is read, says what was measured with its spread, and those of digits give it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sharing import audit_of
from unlearn_audit.experiment import read_study
from unlearn_audit.experiment.measured import differences
from unlearn_audit.experiment.recipes import recipes_in
from unlearn_audit.training.config import bfloat16_is_faster

RECIPES = sorted(recipes_in(Path(__file__).parents[2] / "examples" / "recipes"))
DIGITS = [path for path in RECIPES if path.stem.startswith("digits")]


def test_there_are_recipes_for_digits_and_for_cifar100():
    assert len(DIGITS) >= 8
    assert any(path.stem.startswith("cifar100") for path in RECIPES)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_says_all_that_it_takes_to_run_it_again(path):
    config = read_study(path)
    (label,) = config.methods
    assert path.stem.endswith(f"-{label}")
    assert config.methods[label].search is None
    measured = config.measured
    assert measured.machine and measured.created and {"torch", "transformers"} <= set(measured.versions)
    assert len(measured.seeds["retrained"]) == config.references
    for entry in (*measured.retain, *measured.forget, *measured.test):
        low, high = entry.between
        assert 0 < low < entry.ratio < high < 100 * entry.ratio


@pytest.mark.parametrize("path", DIGITS, ids=lambda path: path.stem)
@pytest.mark.slow
@pytest.mark.skipif(not bfloat16_is_faster(), reason="the recipes were measured with bfloat16 instructions")
def test_a_recipe_for_digits_gives_the_stated_figures_again(path, studies):
    config = read_study(path)
    report = audit_of(config, studies)
    (label,) = config.methods
    assert differences(report, label, config.measured) == []
