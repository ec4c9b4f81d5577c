"""The picture of a card: one candidate's discrepancy from nearest to farthest, over the band of retrained models."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.files import replacing
from unlearn_audit.reporting.charting import chart_data, primary_population
from unlearn_audit.reporting.plots import Drawing, draw_neighbourhood, png_of

CURVE = "curve.png"


def write_curve(report: AuditReport, path: str | Path, *, candidate: str) -> Path:
    """Draw a candidate, and the original where there is one, into a PNG file, and return its path."""
    charts = chart_data(report)
    shown = tuple(model for model in charts.models if model.name == candidate or model.role == "original")
    charts = dataclasses.replace(charts, models=shown)
    picture = png_of(Drawing(draw_neighbourhood, (charts, charts.primary.name, primary_population(report))))
    with replacing(path) as draft:
        draft.write_bytes(picture)
    return Path(path)
