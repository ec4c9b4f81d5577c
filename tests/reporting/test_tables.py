"""Figures as text."""

import doctest

import pytest

from unlearn_audit.reporting import html, tables
from unlearn_audit.reporting.tables import interval, markdown, number, table


@pytest.mark.parametrize("module", [html, tables])
def test_examples_in_docstrings(module):
    tried = doctest.testmod(module)
    assert tried.attempted > 0
    assert tried.failed == 0


@pytest.mark.parametrize("value", [1.0, 0.123456, 99.96, 0.00123, 1e-9, 123456.7])
def test_a_number_keeps_three_digits(value):
    for signed in (value, -value):
        read = float(number(signed).replace("\N{MINUS SIGN}", "-"))
        assert read == pytest.approx(signed, rel=0.06 if value < 1e-4 else 0.005)


def test_what_is_not_known_is_a_dash():
    assert {number(None), number(float("nan")), interval(None, None)} == {"\N{EN DASH}"}


def test_a_cell_cannot_leave_its_markdown_row():
    lines = markdown(table("", ("a", "b"), [["x|y\nz", "1"]])).splitlines()
    assert lines == ["| a | b |", "| --- | ---: |", "| x\\|y z | 1 |"]
