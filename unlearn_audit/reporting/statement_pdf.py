"""A statement as a PDF of two A4 pages, by fpdf2, in a font that comes with matplotlib: nothing is fetched."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.errors import AuditError
from unlearn_audit.files import replacing

if TYPE_CHECKING:
    from fpdf import FPDF

    from unlearn_audit.reporting.statement import Part, Statement

FONT = "DejaVu"
SIZES = (9.5, 9.0, 8.5, 8.0, 7.5, 7.0, 6.5, 6.0)  # points; the first at which each side fits its page
LEADING = 1.35
MARGIN = 18  # mm
INK, SOFT, LINE = (20, 24, 31), (86, 94, 107), (196, 202, 211)
_FILES = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}


def write_pdf(statement: Statement, path: str | Path) -> None:
    """Write a statement as a PDF, always of two pages: longer texts are set smaller.

    Raises:
        AuditError: where it does not fit two pages at the smallest size.
    """
    drawn = (_drawn(statement, size) for size in SIZES)
    pdf = next((found for found in drawn if found.page_no() == len(statement.pages)), None)
    if pdf is None:
        raise AuditError("The statement does not fit two pages: name fewer candidates.")
    with replacing(path) as draft:
        draft.write_bytes(bytes(pdf.output()))


def _drawn(statement: Statement, size: float) -> FPDF:
    pdf = _new(statement)
    number = 0
    for place, parts in enumerate(statement.pages):
        pdf.add_page()
        if place == 0:
            _write(pdf, statement.title, 1.7 * size, style="B")
            pdf.ln(0.5 * size * LEADING / pdf.k)
            for text in statement.lead:
                _write(pdf, text, size, colour=SOFT)
        for part in parts:
            number += 1
            _part(pdf, part, number, size)
    return pdf


def _new(statement: Statement) -> FPDF:
    from fpdf import FPDF

    class Pages(FPDF):  # the library calls `footer` on a subclass
        def footer(self) -> None:
            self.set_y(-MARGIN + 4)
            self.set_font(FONT, size=6.5)
            self.set_text_color(*SOFT)
            text = f"{_known(self, statement.foot)}   ·   {self.page_no()} of {len(statement.pages)}"
            self.cell(0, 4, text, align="C")

    pdf = Pages(format="A4")
    pdf.set_margin(MARGIN)
    pdf.set_auto_page_break(True, MARGIN)
    for style, name in _FILES.items():
        pdf.add_font(FONT, style, _font_folder() / name)
    pdf.set_title(_known(pdf, statement.title))
    pdf.set_lang("en")
    pdf.set_creation_date(_date(statement.created))
    return pdf


def _date(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise AuditError(f"Expected the time of the report as ISO 8601, got {text[:40]!r}.") from error


def _part(pdf: FPDF, part: Part, number: int, size: float) -> None:
    gap = size * LEADING / pdf.k
    if pdf.get_y() > MARGIN:
        pdf.ln(0.8 * gap)
    _write(pdf, f"{number}  {part.title}", 1.2 * size, style="B")
    if part.asked:
        _write(pdf, part.asked, 0.92 * size, colour=SOFT)
    pdf.ln(0.25 * gap)
    if part.rows:
        _table(pdf, part, size)
        pdf.ln(0.4 * gap)
    for text in part.sentences:
        _write(pdf, text, size, bullet=True)


def _write(
    pdf: FPDF,
    text: str,
    size: float,
    *,
    style: Any = "",
    colour: tuple[int, int, int] = INK,
    bullet: bool = False,
) -> None:
    height = size * LEADING / pdf.k
    pdf.set_font(FONT, style, size)
    pdf.set_text_color(*colour)
    if bullet:
        pdf.cell(0.45 * size, height, "•")
    pdf.multi_cell(0, height, _known(pdf, text), align="L", new_x="LMARGIN", new_y="NEXT")


def _table(pdf: FPDF, part: Part, size: float) -> None:
    from fpdf.enums import TableBordersLayout
    from fpdf.fonts import FontFace

    pdf.set_font(FONT, size=0.92 * size)
    pdf.set_text_color(*INK)
    pdf.set_draw_color(*LINE)
    with pdf.table(
        col_widths=part.widths or None,
        text_align="LEFT",
        line_height=0.92 * size * LEADING / pdf.k,
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=FontFace(emphasis="BOLD", color=SOFT),
        padding=(0.08 * size, 0.2 * size, 0.08 * size, 0),
    ) as table:
        for texts in (part.columns, *part.rows):
            row = table.row()
            for text in texts:
                row.cell(_known(pdf, text))


@cache
def _font_folder() -> Path:
    from matplotlib import get_data_path

    return Path(get_data_path()) / "fonts" / "ttf"


def _known(pdf: FPDF, text: str) -> str:
    """Return a text as the font can write it: what it lacks, and what is not printable, as an escape."""
    fonts: Any = pdf.fonts
    letters = fonts[f"{FONT.lower()}B"].cmap  # the bold one has fewer
    return "".join(
        c if c.isprintable() and ord(c) in letters else c.encode("unicode_escape", "surrogatepass").decode()
        for c in " ".join(text.split())
    )
