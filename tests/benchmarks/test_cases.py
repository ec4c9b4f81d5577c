"""Every case that `make bench` runs can be imported, and has a `run`: they run too long to be run here."""

import importlib
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import CASES

HERE = Path(__file__).parent
MODULES = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith(("__", "test_")))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_benchmarks_can_be_imported(name):
    module = importlib.import_module(f"tests.benchmarks.{name}")
    assert name not in CASES or callable(module.run)


def test_every_case_is_a_module():
    assert set(CASES) <= set(MODULES)
