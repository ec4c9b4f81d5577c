"""Everything a person reads, written into an audit's folder from its `report.json` and `examples.parquet`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.names import file_name
from unlearn_audit.reporting.card import CardFacts, write_card
from unlearn_audit.reporting.charting import chart_data
from unlearn_audit.reporting.choices import LOCAL, PublishChoices
from unlearn_audit.reporting.damage import class_damage, shortened
from unlearn_audit.reporting.html import AuditSource, write_comparison, write_html
from unlearn_audit.reporting.ledger import Ledger, read_ledger
from unlearn_audit.reporting.plots import write_plots
from unlearn_audit.saved.manifest import read_manifest, seal

if TYPE_CHECKING:
    from unlearn_audit.reporting.pictures import ImageSource

FORMATS = ("html", "md", "pdf-ready", "plots")


def render_folder(
    folder: str | Path,
    *,
    images: ImageSource | None = None,
    choices: PublishChoices = LOCAL,
    formats: Sequence[str] = ("html", "md", "plots"),
) -> list[Path]:
    """Write the report of an audit's folder, seal the folder again, and return the files.

    Args:
        folder: of an audit, with `report.json`, `examples.parquet` and `manifest.json`.
        images: gives the pictures; without it there are none.
        choices: what may be told of the forget set; by default the report names the nearest forgotten examples, and
            embeds none of their images.
        formats: of "html" (`report.html`), "pdf-ready" (`report-print.html`, without scripts and with all tables
            open), "md" (`README.md`, or `cards/NAME.md` for each of several candidates) and "plots" (`plots/*`).

    Raises:
        ConfigurationError: for an unknown format.
        AuditError: where the folder is not whole.
    """
    for name in formats:
        if name not in FORMATS:
            raise ConfigurationError(f"There is no report format {name!r}.{did_you_mean(name, FORMATS)}")
    folder = Path(folder)
    read_manifest(folder)
    report, ledger = AuditReport.load(folder), read_ledger(folder)
    written = []
    if "html" in formats:
        written.append(write_html(report, ledger, folder / "report.html", images=images, choices=choices))
    if "pdf-ready" in formats:
        path = folder / "report-print.html"
        written.append(write_html(report, ledger, path, images=images, choices=choices, static=True))
    if "md" in formats:
        written += _write_cards(report, folder)
    if "plots" in formats:
        classes = shortened(class_damage(report, Ledger.of(ledger)))
        written += write_plots(chart_data(report, classes), folder / "plots")
    seal(folder)
    return written


def compare_folders(
    folders: Sequence[str | Path],
    path: str | Path,
    *,
    images: ImageSource | None = None,
    choices: PublishChoices = LOCAL,
) -> Path:
    """Write one HTML file that compares the audits of several folders, and return its path."""
    sources = [AuditSource(report, read_ledger(folder), images) for folder, report in _titled(folders)]
    return write_comparison(sources, path, choices=choices)


def _titled(folders: Sequence[str | Path]) -> Iterator[tuple[str | Path, AuditReport]]:
    """Yield each folder and its report; reports of one title are told apart by their folders."""
    reports = [AuditReport.load(folder) for folder in folders]
    titles = [report.title for report in reports]
    for folder, report in zip(folders, reports, strict=True):
        same = titles.count(report.title) > 1
        yield folder, dataclasses.replace(report, title=f"{report.title} ({folder})") if same else report


def _write_cards(report: AuditReport, folder: Path) -> list[Path]:
    """Write each candidate's card as it reads where nothing tells who was forgotten."""
    candidates = [model.name for model in report.by_role("candidate")]
    if len(candidates) == 1:
        return [write_card(report, folder / "README.md", CardFacts(f"user/{candidates[0]}"))]
    cards = folder / "cards"
    cards.mkdir(exist_ok=True)
    written: list[Path] = []
    for name in candidates:
        path = cards / file_name(name, ".md", taken=[path.name for path in written])
        written.append(write_card(report, path, CardFacts(f"user/{name}", PublishChoices(candidate=name))))
    return written
