"""A statement for a data-protection officer: two pages as values, and as Markdown. `statement_pdf` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn_audit.reporting.tables import escape_markdown

Row = tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One part of a statement.

    Attributes:
        title: what it answers.
        asked: who asks: articles of the law.
        sentences: one line or paragraph each, below the table.
        columns: of the table; empty where there is none.
        rows: of the table, a text for each column.
        widths: of the columns, in proportion; empty makes them equal.
    """

    title: str
    asked: str = ""
    sentences: tuple[str, ...] = ()
    columns: Row = ()
    rows: tuple[Row, ...] = ()
    widths: tuple[int, ...] = ()


@dataclass(frozen=True)
class Statement:
    """Two pages.

    Attributes:
        title: at the top.
        lead: what it is, and what it is not.
        pages: the parts of each page.
        foot: of every page: by what it can be told from others.
        created: when the audit was made (UTC, ISO 8601).
    """

    title: str
    lead: tuple[str, ...]
    pages: tuple[tuple[Part, ...], tuple[Part, ...]]
    foot: str
    created: str


def statement_markdown(statement: Statement) -> str:
    """Return a statement as Markdown, everything from outside escaped."""
    parts = [part for page in statement.pages for part in page]
    lines = [f"# {escape_markdown(statement.title)}", "", *(f"{escape_markdown(text)}\n" for text in statement.lead)]
    for number, part in enumerate(parts, start=1):
        lines += [f"## {number}. {escape_markdown(part.title)}", ""]
        if part.asked:
            lines += [f"*{escape_markdown(part.asked)}*", ""]
        if part.rows:
            lines += [_row(part.columns), "| --- " * len(part.columns) + "|", *map(_row, part.rows), ""]
        if part.sentences:
            lines += [*(f"- {escape_markdown(text)}" for text in part.sentences), ""]
    return "\n".join([*lines, "---", "", escape_markdown(statement.foot), ""])


def _row(texts: Row) -> str:
    return "| " + " | ".join(map(escape_markdown, texts)) + " |"
