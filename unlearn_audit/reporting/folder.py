"""Everything a person reads, written into an audit's folder from its `report.json` and `examples.parquet`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import AuditError, ConfigurationError, did_you_mean
from unlearn_audit.reporting.card import CardFacts, write_card
from unlearn_audit.reporting.charting import chart_data
from unlearn_audit.reporting.gallery import Ledger, class_damage, shortened
from unlearn_audit.reporting.html import AuditSource, HtmlChoices, write_comparison, write_html
from unlearn_audit.reporting.plots import write_plots
from unlearn_audit.saved.manifest import read_manifest, seal

if TYPE_CHECKING:
    import pyarrow as pa

    from unlearn_audit.data.images import ImageData

FORMATS = ("html", "md", "pdf-ready", "plots")


def render_folder(
    folder: str | Path,
    *,
    images: ImageData | None = None,
    choices: HtmlChoices | None = None,
    formats: Sequence[str] = ("html", "md", "plots"),
) -> list[Path]:
    """Write the report of an audit's folder, seal the folder again, and return the files.

    Args:
        folder: of an audit, with `report.json`, `examples.parquet` and `manifest.json`.
        images: gives the pictures; without it there are none.
        choices: what may be shown.
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
    choices = choices or HtmlChoices()
    written = []
    if "html" in formats:
        written.append(write_html(report, ledger, folder / "report.html", images=images, choices=choices))
    if "pdf-ready" in formats:
        printed = HtmlChoices(choices.include_forget_images, choices.include_forget_ids, static=True)
        written.append(write_html(report, ledger, folder / "report-print.html", images=images, choices=printed))
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
    images: ImageData | None = None,
    choices: HtmlChoices | None = None,
) -> Path:
    """Write one HTML file that compares the audits of several folders, and return its path."""
    sources = [AuditSource(AuditReport.load(folder), read_ledger(folder), images) for folder in folders]
    return write_comparison(sources, path, choices=choices)


def read_ledger(folder: str | Path) -> pa.Table:
    """Read an audit's `examples.parquet`; none raises `AuditError`."""
    import pyarrow.parquet as pq

    path = Path(folder) / "examples.parquet"
    if not path.is_file():
        raise AuditError(f"Expected a whole report folder, found no examples.parquet in {str(folder)!r}.")
    return pq.read_table(path)


def _write_cards(report: AuditReport, folder: Path) -> list[Path]:
    candidates = report.by_role("candidate")
    if len(candidates) == 1:
        return [write_card(report, folder / "README.md", facts=CardFacts(f"user/{candidates[0].name}"))]
    cards = folder / "cards"
    cards.mkdir(exist_ok=True)
    return [
        write_card(report, cards / f"{model.name}.md", candidate=model.name, facts=CardFacts(f"user/{model.name}"))
        for model in candidates
    ]
