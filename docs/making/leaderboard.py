"""Makes docs/leaderboard.md from the tables that `unlearn-audit leaderboard` wrote, kept in docs/results/leaderboards/.

unlearn-audit leaderboard examples/leaderboards/digits_all_methods.yaml --output RUN
cp RUN/leaderboard.csv docs/results/leaderboards/digits.csv
python docs/making/leaderboard.py
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import jinja2

DOCS = Path(__file__).parents[1]
SAVED, PAGE = DOCS / "results" / "leaderboards", DOCS / "leaderboard.md"
TEMPLATE = Path(__file__).with_name("leaderboard.md.jinja")
QUESTIONS = ("forgotten", "neighbours", "rest")
SAYS = {"pass": "yes", "fail": "no", "inconclusive": "?"}
HEAD = ("method", "forgotten", "points", "neighbours", "points", "bits", "rest", "cost, %", "search, %")

Row = Mapping[str, str]


def read(path: Path) -> list[Row]:
    """Return the lines of a table, as text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def answers(row: Row, question: str) -> str:
    """Return what is answered for each model, as `yes`, `no` or `?`, those alike together: `no, 1 yes`."""
    counts = {SAYS[outcome]: int(row[f"{question}_{outcome}"]) for outcome in SAYS}
    found = [word for word, count in counts.items() if count]
    return found[0] if len(found) == 1 else ", ".join(f"{counts[word]} {word}" for word in found)


def number(row: Row, column: str, digits: int, scale: float = 1.0) -> str:
    """Return a mean with its standard error, as far as there are any."""
    value, error = row[column], row[f"{column}_se"]
    if not value:
        return ""
    return f"{scale * float(value):.{digits}f}" + (f" ± {scale * float(error):.{digits}f}" if error else "")


def cells(row: Row) -> tuple[str, ...]:
    """Return a line of the page's table."""
    return (
        f"`{row['method']}`",
        answers(row, "forgotten"),
        number(row, "forgotten_level", 1, 100),
        answers(row, "neighbours"),
        number(row, "neighbours_level", 1, 100),
        number(row, "neighbours_pattern", 3),
        answers(row, "rest"),
        number(row, "cost", 0, 100),
        number(row, "tuning_cost", 0, 100),
    )


def table(rows: list[Row]) -> str:
    """Return a table in Markdown, those methods first that get the most answers of yes, then the cheapest."""
    lines = [HEAD, ("---",) * len(HEAD), *(cells(row) for row in sorted(rows, key=_order))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _order(row: Row) -> tuple[int, int, float]:
    passed = sum(int(row[f"{question}_pass"]) for question in QUESTIONS)
    failed = sum(int(row[f"{question}_fail"]) for question in QUESTIONS)
    return -passed, failed, float(row["cost"] or 0)


def by_forget_set(rows: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Yield each forget set with its rows, in the order of the file."""
    for name in dict.fromkeys(row["forget_set"] for row in rows):
        yield name, [row for row in rows if row["forget_set"] == name]


def all_three(rows: list[Row]) -> list[str]:
    """Return the methods whose models all get three times yes."""
    return [row["method"] for row in rows if all(answers(row, question) == "yes" for question in QUESTIONS)]


def unsettled(rows: list[Row]) -> list[str]:
    """Return the methods of which at least one model neither passes nor fails."""
    return [f"`{row['method']}`" for row in rows if int(row["verdicts_inconclusive"])]


def make() -> None:
    """Write the page."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.filters["table"] = table
    rows = read(SAVED / "digits.csv")
    sets = dict(by_forget_set(rows))
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        sets=sets,
        methods=len({row["method"] for row in rows}),
        passing={name: all_three(of) for name, of in sets.items()},
        unsettled=unsettled(sets["all-of-3"]),
    )
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    make()
