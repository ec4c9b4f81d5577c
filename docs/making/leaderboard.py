"""Makes docs/leaderboard.md from the tables that `unlearn-audit leaderboard` wrote, kept in docs/results/leaderboards/.

    unlearn-audit leaderboard examples/leaderboards/digits_all_methods.yaml --output RUN
    python docs/making/leaderboard.py add digits RUN

A run of a part, with --only and --forget-set, adds to what is kept. Without `add` the page is made of the tables that
are kept.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

DOCS = Path(__file__).parents[1]
SAVED, PAGE = DOCS / "results" / "leaderboards", DOCS / "leaderboard.md"
TEMPLATE = Path(__file__).with_name("leaderboard.md.jinja")
QUESTIONS = ("forgotten", "neighbours", "rest")
SAYS = {"pass": "yes", "fail": "no", "inconclusive": "?"}
HEAD = ("method", "forgotten", "points", "neighbours", "points", "bits", "rest", "cost, %", "search, %")

UNTOUCHED, ORACLE = "original", "oracle_matching"
NAMED = {UNTOUCHED: "untouched original", ORACLE: "*control: distilled from a retrained model*"}
BOARDS = ("cifar100_memorising", "cifar100_generalising", "digits")
TITLES = {
    "half-of-boy": 'Half of "boy"',
    "all-of-road": 'All of "road"',
    "half-of-8": "Half of class 8",
    "all-of-3": "All of class 3",
    "random": "3 % at random",
}

Row = Mapping[str, str]


def read(path: Path) -> list[Row]:
    """Return the lines of a table, as text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def merged(kept: list[Row], added: list[Row]) -> list[Row]:
    """Return the rows of both by forget set; a method's added row replaces a kept one, but the original's stays."""
    old, new = ({(row["forget_set"], row["method"]): row for row in rows} for rows in (kept, added))
    rows = {**old, **{key: row for key, row in new.items() if key[1] != UNTOUCHED or key not in old}}
    sets = list(dict.fromkeys(forget for forget, _ in rows))
    return [row for name in sets for (forget, _), row in rows.items() if forget == name]


def write(path: Path, rows: list[Row]) -> None:
    """Write a table as `read` takes it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def answers(row: Row, question: str) -> str:
    """Return what is answered for each model, as `yes`, `no` or `?`, those alike together: `no, 1 yes`."""
    counts = {SAYS[outcome]: int(row[f"{question}_{outcome}"]) for outcome in SAYS}
    found = [word for word, count in counts.items() if count]
    if not found:
        return "no model"
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
        NAMED.get(row["method"], f"`{row['method']}`"),
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


@dataclass(frozen=True)
class Board:
    """The tables of one leaderboard."""

    name: str
    rows: tuple[Row, ...]

    @classmethod
    def load(cls, name: str) -> Board:
        """Read what was kept."""
        return cls(name, tuple(read(SAVED / f"{name}.csv")))

    @property
    def sets(self) -> dict[str, list[Row]]:
        """The rows of each forget set."""
        return dict(by_forget_set(list(self.rows)))

    @property
    def methods(self) -> list[str]:
        """All entries, without the original and the control."""
        return [method for method in dict.fromkeys(row["method"] for row in self.rows) if method not in NAMED]

    def methods_on(self, forget: str) -> int:
        """Return how many entries there are on a forget set."""
        return sum(row["method"] not in NAMED for row in self.sets[forget])

    def passing(self, forget: str) -> list[str]:
        """Return the methods whose models all get three times yes."""
        return [
            row["method"]
            for row in self.sets[forget]
            if row["method"] not in NAMED and all(answers(row, question) == "yes" for question in QUESTIONS)
        ]

    def cost(self, forget: str, method: str) -> str:
        """Return what a model of a method cost, in per cent of a retraining."""
        (row,) = (row for row in self.sets[forget] if row["method"] == method)
        return f"{100 * float(row['cost']):.0f}"

    def points(self, forget: str, method: str, question: str = "forgotten") -> str:
        """Return a mean difference of confidence in points, without its error."""
        (row,) = (row for row in self.sets[forget] if row["method"] == method)
        return f"{100 * float(row[f'{question}_level']):+.0f}"


def make() -> None:
    """Write the page."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False, trim_blocks=True
    )
    environment.filters["table"] = table
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        boards={name: Board.load(name) for name in BOARDS if (SAVED / f"{name}.csv").is_file()}, titles=TITLES
    )
    PAGE.write_text(text, encoding="utf-8")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command")
    add = commands.add_parser("add", help="keep the table of a finished leaderboard first")
    add.add_argument("board", choices=BOARDS)
    add.add_argument("run", type=Path)
    given = parser.parse_args()
    if given.command == "add":
        path = SAVED / f"{given.board}.csv"
        write(path, merged(read(path) if path.is_file() else [], read(given.run / "leaderboard.csv")))
    make()


if __name__ == "__main__":
    main()
