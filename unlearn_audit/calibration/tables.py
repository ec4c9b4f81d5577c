"""The calibration as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unlearn_audit.auditing.groups import QUESTIONS
from unlearn_audit.auditing.sentences import TITLES
from unlearn_audit.calibration.deceivers import DECEIVERS
from unlearn_audit.calibration.pool import HONEST, ORIGINAL
from unlearn_audit.calibration.study import NUM_REFERENCES, TOGETHER, Calibration, Shares

INTRODUCTION = """# How often the answers are right

Made by `unlearn-audit calibrate --output calibration.md`; do not edit by hand. Each pool holds retrained models that
differ only in their seed, and others of known nature. In every one of {draws:,} random audits a cell, K of the
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
                percent(calibration.settled.overall.passed),
                percent(max(share for share, _ in calibration.withheld.values())),
                percent(calibration.cell(ORIGINAL, numbers[0]).overall.failed),
                percent(max(deceiving)),
            ]
        )
    numbers = _numbers(found[0])
    head = (
        "pool",
        "honest: most that fail",
        *(f"honest: pass, K = {k}" for k in numbers),
        f"K = {found[0].settled.num_references}",
        "honest: most withheld",
        f"original: fail, K = {numbers[0]}",
        "made to deceive: most that pass",
    )
    text = (
        "## In short\n\nHonest candidates are to fail in at most {alpha} %, and candidates made to deceive to pass\n"
        "in at most {alpha} %. The original is to fail where it knows the deleted examples better than tolerated.\n"
        "With all {most} other retrained models as references, an honest candidate that does not pass is itself\n"
        "farther from their mean than is tolerated, or nearly: no more retraining would settle it, but training until\n"
        "seeds agree, or a wider tolerance, would. Audits are withheld where references seem not to be alike.\n\n"
    )
    share, most = percent(found[0].policy.alpha), found[0].settled.num_references
    return text.format(alpha=share, most=most) + table(head, rows)


def _pool(found: Calibration) -> str:
    return "\n".join(
        [
            f"## Pool: {found.pool}\n\n{found.num_retrained} retrained models.\n",
            _honest(found),
            _others(found),
            _methods(found),
            _small(found),
            _examples(found),
            _plans(found),
        ]
    )


def _honest(found: Calibration) -> str:
    rows = []
    for k in _numbers(found):
        cell = found.cell(HONEST, k)
        by_question = [_failed_passed(cell.questions[q]) for q in QUESTIONS if q in cell.questions]
        share, bounds = found.withheld[k]
        rows.append([str(k), *_with_intervals(cell.overall), *by_question, f"{percent(share)} ({interval(bounds)})"])
    questions = [TITLES[q] for q in QUESTIONS]
    head = ("K", "fail", "95 %", "95 %, candidates anew", "pass", "95 %", *questions, "withheld (95 %)")
    text = (
        "### Honest candidates\n\nA retrained model as the candidate. By question: fail / pass. An audit is withheld\n"
        "where the references seem not to be alike; the other shares are before that.\n\n"
    )
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
    rows = [
        [kind, *(_three_shares(found.cell(kind, k).overall) for k in _numbers(found)), _ways(found, kind)]
        for kind in kinds
    ]
    head = ("candidate", *(f"K = {k}" for k in _numbers(found)), f"how it fails, K = {_numbers(found)[-1]}")
    return (
        "### Other candidates\n\nfail / not settled / pass; and how the three questions fail, as shares of audits\n"
        "(two of them can fail the same way).\n\n" + table(head, rows)
    )


def _methods(found: Calibration) -> str:
    told = {(cell.kind, cell.num_references): _three_shares(cell.overall) for cell in found.methods}
    kinds = dict.fromkeys(kind for kind, _ in told)
    rows = [[kind, *(told.get((kind, k), "-") for k in _numbers(found))] for kind in kinds]
    head = ("candidates", *(f"K = {k}" for k in _numbers(found)))
    return (
        f"### Verdicts on a method\n\n{TOGETHER} candidates of one kind, made from as many originals, judged as one\n"
        "method. fail / not settled / pass.\n\n" + table(head, rows)
    )


def _examples(found: Calibration) -> str:
    told = {
        (cell.kind, cell.num_references): f"{percent(cell.seen)} / {percent(cell.not_seen)}" for cell in found.examples
    }
    kinds = dict.fromkeys(kind for kind, _ in told)
    rows = [[kind, *(told[kind, k] for k in _numbers(found))] for kind in kinds]
    return (
        "### Single examples\n\nThe likelihood ratio of each deleted example, by another original and K retrained\n"
        "models: the share of them that are at least ten times likelier seen than not / at least ten times likelier\n"
        "not seen.\n\n" + table(("candidate", *(f"K = {k}" for k in _numbers(found))), rows)
    )


def _plans(found: Calibration) -> str:
    rows = [
        [
            str(foresight.known),
            f"{100 * foresight.error:+.1f}",
            f"{100 * foresight.root_mean_square:.1f}",
            percent(foresight.covered),
            percent(foresight.told),
            "-" if foresight.right is None else percent(foresight.right),
        ]
        for foresight in found.foresights
    ]
    head = ("retrained models", "mean error", "root mean square", "within its bounds", "tells", "of these, right")
    return (
        "### Plans\n\nWhat `plan` says of the originals, given so many retrained models (0: test examples alone): the\n"
        "error of what it says is memorised, in points of confidence; how often its bounds hold the truth; how often\n"
        'it tells whether an untouched model would fail (else it says that this "cannot be told"), and how often\n'
        "rightly.\n\n" + table(head, rows)
    )


def _three_shares(shares: Shares) -> str:
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
