"""Plots as files: both kinds, the report's figures in them, and the same bytes each time."""

import dataclasses
import re

import pytest
from matplotlib.figure import Figure

from tests.reporting.samples import make_ledger, make_report
from unlearn_audit.reporting.charting import chart_data
from unlearn_audit.reporting.damage import class_damage
from unlearn_audit.reporting.ledger import Ledger
from unlearn_audit.reporting.plots import Drawing, draw_cost, draw_neighbourhood, png_of, svg_of, write_plots

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def charts():
    report = make_report()
    return chart_data(report, class_damage(report, Ledger.of(make_ledger())))


def test_each_chart_is_written_as_png_and_svg(charts, tmp_path):
    written = write_plots(charts, tmp_path / "plots")
    assert sorted(p.name for p in written) == sorted(
        f"{name}.{kind}" for name in ("neighbourhood", "classes", "cost") for kind in ("png", "svg")
    )
    for path in written:
        start = path.read_bytes()[:8]
        assert start == b"\x89PNG\r\n\x1a\n" if path.suffix == ".png" else start.startswith(b"<?xml")


def test_files_are_the_same_each_time(charts, tmp_path):
    first = {p.name: p.read_bytes() for p in write_plots(charts, tmp_path / "a")}
    assert first == {p.name: p.read_bytes() for p in write_plots(charts, tmp_path / "b")}


@pytest.mark.parametrize("picture_of", [svg_of, png_of])
def test_a_picture_that_was_drawn_already_is_what_would_be_drawn(charts, picture_of):
    drawing, other = Drawing(draw_cost, (charts,)), Drawing(draw_cost, (dataclasses.replace(charts, cost=()),))
    fresh = picture_of(lambda axes: draw_cost(axes, charts))
    assert picture_of(drawing) is picture_of(Drawing(draw_cost, (dataclasses.replace(charts),)))
    assert picture_of(drawing) == fresh and picture_of(drawing, height=2) != fresh
    assert picture_of(other) == picture_of(lambda axes: draw_cost(axes, other.values[0])) != fresh


def test_lines_and_band_hold_the_reports_figures(charts):
    report = make_report()
    axes = Figure().subplots()
    draw_neighbourhood(axes, charts, "js", "test")
    lines = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    expected = [s.discrepancy for s in report.comparison("random_labels", "test", "js").strata]
    assert lines["random labels"] == pytest.approx(expected)
    assert "original (no-op)" in lines
    posing = [report.comparison(f"retrained-{k}", "test", "js").strata[0].discrepancy for k in range(1, 5)]
    band = axes.collections[0].get_datalim(axes.transData)
    assert max(posing) <= band.y1 + 1e-12
    assert axes.get_yscale() == "log"


def test_a_signed_measure_is_never_on_a_logarithmic_axis(charts):
    axes = Figure().subplots()
    draw_neighbourhood(axes, charts, "confidence_gap", "retain")
    assert axes.get_yscale() == "linear"


def test_dollar_signs_in_class_names_are_no_formulas(tmp_path):
    report = make_report(class_names=("$x^", *"12345678", "<9>"))
    charts = chart_data(report, class_damage(report, Ledger.of(make_ledger())))
    write_plots(charts, tmp_path)
    assert "$x^" in (tmp_path / "classes.svg").read_text()
    assert re.search("&lt;9&gt;", (tmp_path / "classes.svg").read_text())
