"""Standings as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from unlearn_audit.auditing.groups import QUESTIONS
from unlearn_audit.experiment.standings import Mean, Standing, Standings
from unlearn_audit.reporting.tables import escape_markdown

OUTCOMES = ("pass", "fail", "inconclusive")
HEAD = (
    *("forget set", "method", "verdicts", "share of the way"),
    *(f"{question}: {what}" for question in QUESTIONS for what in ("answers", "level, points", "pattern, bits")),
    *("cost, retrainings", "tuning, retrainings"),
)
NOTE = (
    "Each figure is a mean over unlearned models ± its standard error, which takes models from one original for "
    "independent. Answers and verdicts count models: pass/fail/inconclusive. Level: difference of mean confidence from "
    "the retrained models; pattern: discrepancy over the noise floor between them; both where they are worst. A method "
    "comes to no model where its weights are not finite at the end, or are those of the original."
)


def markdown(standings: Standings) -> str:
    """Return a page with one table."""
    lines = [HEAD, ("---",) * len(HEAD), *(_cells(row) for row in standings.rows)]
    table = "\n".join("| " + " | ".join(escape_markdown(cell) for cell in line) + " |" for line in lines)
    budget = f"Methods with a search had {standings.trials} trials each; the last column says what these cost."
    return f"# {escape_markdown(standings.title)}\n\n{NOTE} {budget}\n\n{table}\n"


def latex(standings: Standings) -> str:
    """Return a `tabular` for the package booktabs."""
    lines = [" & ".join(_for_latex(cell) for cell in line) + r" \\" for line in (HEAD, *map(_cells, standings.rows))]
    columns = "ll" + "r" * (len(HEAD) - 2)
    body = "\n".join([lines[0], r"\midrule", *lines[1:]])
    return f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"


def as_csv(standings: Standings) -> str:
    """Return one line for each row, with value and standard error in columns of their own, not rounded."""
    lines = [dict(_numbers(row)) for row in standings.rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _numbers(row: Standing) -> Mapping[str, object]:
    found: dict[str, object] = {"forget_set": row.forget, "method": row.method}
    found |= {f"verdicts_{outcome}": row.outcomes.get(outcome, 0) for outcome in OUTCOMES} | {"no_model": row.without}
    means = {"share_gone": row.gone, "cost": row.cost, "tuning_cost": row.tuning_cost}
    for name, question in row.questions.items():
        found |= {f"{name}_{outcome}": question.outcomes.get(outcome, 0) for outcome in OUTCOMES}
        means |= {f"{name}_level": question.level, f"{name}_pattern": question.pattern}
    for column, mean in means.items():
        found |= {column: None if mean is None else mean.value, f"{column}_se": None if mean is None else mean.error}
    return found


def _cells(row: Standing) -> tuple[str, ...]:
    none = f", {row.without} came to no model" if row.without else ""
    cells = [row.forget, row.method, _counts(row.outcomes) + none, _shown(row.gone, 2)]
    for question in row.questions.values():
        level = _shown(question.level, 1, scale=100)
        cells += [_counts(question.outcomes), level, _shown(question.pattern, 3)]
    return (*cells, _shown(row.cost, 2), _shown(row.tuning_cost, 2))


def _counts(outcomes: Mapping[str, int]) -> str:
    return "/".join(str(outcomes.get(outcome, 0)) for outcome in OUTCOMES)


def _shown(mean: Mean | None, digits: int, *, scale: float = 1) -> str:
    if mean is None:
        return "-"
    error = "" if mean.error is None else f" ± {scale * mean.error:.{digits}f}"
    return f"{scale * mean.value:.{digits}f}{error}"


def _for_latex(text: str) -> str:
    named = {"\\": r"\textbackslash{}", "±": r"$\pm$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(named.get(sign) or (f"\\{sign}" if sign in "&%$#_{}" else sign) for sign in text)
