"""The calibration as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unlearn_audit.auditing.groups import QUESTIONS
from unlearn_audit.auditing.sentences import TITLES
from unlearn_audit.calibration.deceivers import DECEIVERS
from unlearn_audit.calibration.pool import HONEST, ORIGINAL
from unlearn_audit.calibration.study import NUM_REFERENCES, Calibration, Shares

INTRODUCTION = """# How often the answers are right

Made by `unlearn-audit calibrate --output docs/calibration.md`; do not edit by hand. Each pool holds retrained models
that differ only in their seed, and others of known nature. In every one of {draws:,} random audits a cell, K of the
retrained models are the references and another model is the candidate. Shares are in percent of all audits, with 95 %
intervals for this pool.

Policy: measure `{measure}`, tolerance {level:g} points of confidence and {pattern:g} of the measure's unit,
alpha {alpha:g}.
"""


def markdown(found: Sequence[Calibration]) -> str:
    """Return the whole page."""
    policy = found[0].policy
    draws = max(cell.overall.draws for calibration in found for cell in calibration.cells)
    introduction = INTRODUCTION.format(
        draws=draws, measure=policy.measure, level=100 * policy.level, pattern=policy.pattern, alpha=policy.alpha
    )
    return "\n".join([introduction, _summary(found), *(_pool(calibration) for calibration in found)])


def _summary(found: Sequence[Calibration]) -> str:
    """Return the figures that a calibration is held to, a row a pool."""
    rows = []
    for calibration in found:
        numbers = _numbers(calibration)
        deceiving = [cell.overall.passed for cell in calibration.cells if cell.kind in DECEIVERS]
        rows.append(
            [
                calibration.pool,
                percent(max(calibration.cell(HONEST, k).overall.failed for k in numbers)),
                *(percent(calibration.cell(HONEST, k).overall.passed) for k in numbers),
                percent(calibration.cell(ORIGINAL, numbers[0]).overall.failed),
                percent(max(deceiving)),
            ]
        )
    numbers = _numbers(found[0])
    head = (
        "pool",
        "honest: most that fail",
        *(f"honest: pass, K = {k}" for k in numbers),
        f"original: fail, K = {numbers[0]}",
        "made to deceive: most that pass",
    )
    text = (
        "## In short\n\nHonest candidates are to fail in at most {alpha} %, and candidates made to deceive to pass\n"
        "in at most {alpha} %. The original is to fail where it knows the deleted examples better than tolerated.\n\n"
    )
    return text.format(alpha=percent(found[0].policy.alpha)) + table(head, rows)


def _pool(found: Calibration) -> str:
    return "\n".join(
        [
            f"## Pool: {found.pool}\n\n{found.num_retrained} retrained models.\n",
            _honest(found),
            _others(found),
            _small(found),
        ]
    )


def _honest(found: Calibration) -> str:
    rows = []
    for k in _numbers(found):
        cell = found.cell(HONEST, k)
        by_question = [_failed_passed(cell.questions[q]) for q in QUESTIONS if q in cell.questions]
        rows.append([str(k), *_with_intervals(cell.overall), *by_question])
    head = ("K", "fail", "95 %", "95 %, candidates anew", "pass", "95 %", *(TITLES[q] for q in QUESTIONS))
    text = "### Honest candidates\n\nA retrained model as the candidate. By question: fail / pass.\n\n"
    return text + table(head, rows)


def _with_intervals(shares: Shares) -> list[str]:
    return [
        f"**{percent(shares.failed)}**",
        interval(shares.failed_interval),
        interval(shares.failed_over_models),
        f"**{percent(shares.passed)}**",
        interval(shares.passed_interval),
    ]


def _others(found: Calibration) -> str:
    kinds = list(dict.fromkeys(cell.kind for cell in found.cells if cell.kind != HONEST))
    rows = [[kind, *(_cell(found, kind, k) for k in _numbers(found)), _ways(found, kind)] for kind in kinds]
    head = ("candidate", *(f"K = {k}" for k in _numbers(found)), f"how it fails, K = {_numbers(found)[-1]}")
    return (
        "### Other candidates\n\nfail / not settled / pass; and how the three questions fail, as shares of audits\n"
        "(two of them can fail the same way).\n\n" + table(head, rows)
    )


def _cell(found: Calibration, kind: str, k: int) -> str:
    shares = found.cell(kind, k).overall
    open_share = max(0.0, 1 - shares.failed - shares.passed)
    return " / ".join(percent(share) for share in (shares.failed, open_share, shares.passed))


def _ways(found: Calibration, kind: str) -> str:
    ways = found.cell(kind, _numbers(found)[-1]).ways
    return ", ".join(f"{how} {percent(share)}" for how, share in ways.items()) or "-"


def _small(found: Calibration) -> str:
    rows = [
        [
            cell.kind,
            str(cell.size),
            str(cell.num_references),
            _failed_passed(cell.forgotten),
            interval(cell.forgotten.failed_interval),
        ]
        for cell in found.small
    ]
    head = ("candidate", "deleted examples", "K", "forgotten: fail / pass", "95 % of fail")
    return (
        "### Small requests\n\nThe question *forgotten?* asked of 1, 3, 10 and 30 of the deleted examples.\n\n"
        + table(head, rows)
    )


def _failed_passed(shares: Shares) -> str:
    return f"{percent(shares.failed)} / {percent(shares.passed)}"


def _numbers(found: Calibration) -> list[int]:
    known = {cell.num_references for cell in found.cells}
    return [k for k in NUM_REFERENCES if k in known]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f}"


def interval(bounds: tuple[float, float]) -> str:
    """Return bounds in percent."""
    return f"{percent(bounds[0])} to {percent(bounds[1])}"
