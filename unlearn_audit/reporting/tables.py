"""Figures as text, and tables of them, shared by the HTML report and the model card."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # and of direction
_LINK = re.compile(r"\b(?:https?:|ftp:|www)(?=[./])|@", re.IGNORECASE)  # what Markdown makes a link of by itself


@dataclass(frozen=True)
class Cell:
    """One cell; `kind` is "", "text", "soft", "over" (beyond the tolerance), "within" or "wrap"."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Group:
    """Rows under one heading; without a title there is no heading. `key` is what a menu calls the group."""

    title: str
    rows: tuple[tuple[Cell, ...], ...]
    key: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its caption; `attributes` are HTML attributes of the table."""

    caption: str
    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)

    def is_text(self, column: int) -> bool:
        """Tell whether a column holds words, which stand at its left, rather than figures."""
        return any(row[column].kind.startswith(("text", "wrap")) for group in self.groups for row in group.rows)


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Cell | str]], **attributes: str) -> Table:
    """Build a table with one group; plain strings become cells."""
    return Table(caption, tuple(columns), (Group("", as_rows(rows)),), attributes)


def as_rows(rows: Iterable[Sequence[Cell | str]]) -> tuple[tuple[Cell, ...], ...]:
    """Turn plain strings into cells."""
    return tuple(tuple(c if isinstance(c, Cell) else Cell(c) for c in row) for row in rows)


def number(value: float | None) -> str:
    """Write a figure with three significant digits; what is not known becomes a dash.

    >>> [number(v) for v in (0.0123456, 12.3456, 1234.5, 0.0, None)]
    ['0.0123', '12.3', '1234', '0', '–']
    """
    if value is None or math.isnan(value):
        return NOTHING
    if value == 0:
        return "0"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    size = abs(value)
    if size >= 100:
        text = f"{value:.0f}"
    elif size >= 0.0001:
        text = f"{value:.{max(0, 2 - math.floor(math.log10(size)))}f}"
    else:
        text = f"{value:.1e}"
    return text.replace("-", MINUS)


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share as per cent.

    >>> percent(0.1234), percent(None)
    ('12.3 %', '–')
    """
    return NOTHING if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %".replace("-", MINUS)


def probability(p_value: float | None) -> str:
    """Write a p-value, never as zero.

    >>> probability(0.0342), probability(1e-9)
    ('0.034', '< 0.001')
    """
    if p_value is None or math.isnan(p_value):
        return NOTHING
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}" if p_value < 0.1 else f"{p_value:.2f}"


def interval(low: float | None, high: float | None) -> str:
    """Write bounds as "low to high"."""
    if low is None and high is None:
        return NOTHING
    return f"{number(low)} to {number(high)}"


def whole(value: int | None) -> str:
    """Write a count with thin spaces between thousands."""
    return NOTHING if value is None else f"{value:,}".replace(",", "\u202f")


def duration(seconds: float | None) -> str:
    """Write a time as a person says it.

    >>> duration(3.21), duration(125), duration(7260)
    ('3.2 s', '2 min 5 s', '2 h 1 min')
    """
    if seconds is None or math.isnan(seconds):
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def markdown(shown: Table) -> str:
    """Write a table as GitHub-flavoured Markdown, every cell escaped."""
    lines = [_markdown_row(shown.columns), "| --- |" + " ---: |" * (len(shown.columns) - 1)]
    for group in shown.groups:
        lines += [_markdown_row([cell.text for cell in row]) for row in group.rows]
    return "\n".join(lines)


def _markdown_row(texts: Iterable[str]) -> str:
    return "| " + " | ".join(escape_markdown(text) for text in texts) + " |"


def escape_markdown(text: str) -> str:
    r"""Make text from outside harmless in Markdown: no markup, no HTML, no line break, no link, nothing unprintable.

    A zero-width space keeps addresses from becoming links by themselves.

    >>> escape_markdown("<script>|*x*")
    '&lt;script&gt;\\|\\*x\\*'
    """
    text = _CONTROL.sub("\ufffd", " ".join(text.split()))
    text = _LINK.sub(lambda found: f"{found[0]}\u200b", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*[]|":
        text = text.replace(mark, "\\" + mark)
    return text
