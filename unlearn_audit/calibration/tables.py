"""The calibration study as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unlearn_audit.calibration.draws import HONEST, Shares
from unlearn_audit.calibration.pool import FORGOTTEN
from unlearn_audit.calibration.rivals import BOUNDS, TESTS
from unlearn_audit.calibration.simulation import EFFECTS
from unlearn_audit.calibration.study import NUM_REFERENCES, RELATIVE, SPREADS, UNEQUAL, Calibration, TestShares

INTRODUCTION = """# How often verdicts are right

Made by `unlearn-audit calibrate --output docs/calibration.md`; do not edit by hand. {retrained} ResNet-8 models were
retrained on the embedded digits without half of class {forgotten}, and differ only in their seed. In each of {draws:,}
random audits a cell, K of them are the references and another model is the candidate.

Policy: {policy}.

Shares are in percent. "95 %" is an interval for this pool; "95 %, pools" also counts the candidates as drawn anew: what
another pool might have shown. All random audits draw from one pool, so that the second is the more careful of the two.
"""

CHOICE = """A test may be used where

1. its p-values by themselves hold alpha, because reports print them and a policy may set the tolerance to 0: at each K
   the 95 % interval over pools of the share of honest candidates that they reject reaches down to {alpha} % ("where
   least" shows the K at which it begins highest); and
2. verdicts by it fail at most {alpha} % of honest candidates at each K, on the pool and, up to its own error, in the
   simulation.

Of those the one of most power is used; power is the share of all other candidates that fail, the mean over kinds and K.
Here that is: {best}.
"""

BOUNDS_COMPARED = """## Bounds compared

A candidate passes where its upper bounds are within the tolerance. A candidate that is beyond it must pass in at most
{alpha} % of audits, and the hardest is one exactly at the tolerance in one group and well within in the others. It is
simulated with a spread of {spread} in all groups, and with one of {retain} in the retain set's groups and {forget} in
the forget set; the largest share over groups and distributions of effects is shown.
"""


def markdown(found: Calibration) -> str:
    """Return the whole document."""
    policy = found.policy
    described = (
        f"measure `{policy.measure}`, populations {' and '.join(policy.populations)}, nearest {policy.strata} of 10 "
        f"strata together and each whole population, tolerance the larger of {policy.absolute} and {policy.relative} "
        f"times the noise floor, alpha {policy.alpha}"
    )
    parts = [
        INTRODUCTION.format(retrained=found.num_retrained, forgotten=FORGOTTEN, draws=found.draws, policy=described),
        _honest(found),
        _power(found),
        _wrong(found),
        _tolerances(found),
        _strata(found),
        _tests(found),
        _bounds(found),
        _simulated(found),
    ]
    return "\n".join(parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f}"


def _interval(bounds: tuple[float, float]) -> str:
    return f"{percent(bounds[0])} to {percent(bounds[1])}"


def _honest(found: Calibration) -> str:
    rows = []
    for k in NUM_REFERENCES:
        cell = found.verdicts[HONEST, k, found.policy.relative]
        rows.append(
            [
                str(k),
                f"**{percent(cell.failed)}**",
                _interval(cell.interval),
                _interval(cell.over_models),
                percent(cell.passed),
                percent(cell.inconclusive),
                percent(found.withheld[k]) if k > 3 else "not possible",
            ]
        )
    head = ("K", "fail", "95 %", "95 %, pools", "pass", "inconclusive", "withheld by controls")
    holds = "holds" if found.holds else "does not hold"
    alpha = percent(found.policy.alpha)
    return (
        f"## Honest candidates\n\nA retrained model as the candidate. The bar, at most {alpha} % failing at every K, "
        f"{holds}.\n\n{table(head, rows)}"
    )


def _power(found: Calibration) -> str:
    kinds = list(dict.fromkeys(kind for kind, _, _ in found.verdicts if kind != HONEST))
    rows = [
        [kind, *(_outcomes(found.verdicts[kind, k, found.policy.relative]) for k in NUM_REFERENCES)] for kind in kinds
    ]
    text = (
        "## Power\n\nOther candidates: fail / inconclusive / pass. The original did nothing at all; the noisy original "
        "is that with noise added to its weights; the wrong set is a model retrained without half of another class. "
        "None of the three is damaged: only what they still know of the forget set and its neighbourhood tells them "
        "from a retrained model.\n\n"
    )
    return text + table(("candidate", *(f"K = {k}" for k in NUM_REFERENCES)), rows)


def _outcomes(cell: Shares) -> str:
    return f"{100 * cell.failed:.0f} / {100 * cell.inconclusive:.0f} / {100 * cell.passed:.0f}"


def _wrong(found: Calibration) -> str:
    kinds = [kind for kind, k in found.wrongly_passed if k == NUM_REFERENCES[0]]
    known = [kind for kind in kinds if found.wrongly_passed[kind, NUM_REFERENCES[0]] is not None]
    rows = [[kind, *(percent(found.wrongly_passed[kind, k] or 0.0) for k in NUM_REFERENCES)] for kind in known]
    return (
        "## Wrong passes\n\nShare that passes of candidates that are beyond the tolerance in some group when all of "
        "the pool's retrained models are the references.\n\n"
        + table(("candidate", *(f"K = {k}" for k in NUM_REFERENCES)), rows)
    )


def _tolerances(found: Calibration) -> str:
    rows = [
        [kind, f"{relative}", *(_outcomes(found.verdicts[kind, k, relative]) for k in NUM_REFERENCES)]
        for kind in (HONEST, "original")
        for relative in RELATIVE
    ]
    head = ("candidate", "relative tolerance", *(f"K = {k}" for k in NUM_REFERENCES))
    return f"## Tolerance\n\nfail / inconclusive / pass, by the relative tolerance.\n\n{table(head, rows)}"


def _strata(found: Calibration) -> str:
    size = len(found.strata[NUM_REFERENCES[0]]) - 1
    rows = [[str(k), *(percent(share) for share in found.strata[k])] for k in NUM_REFERENCES]
    head = ("K", *(f"retain {i}" for i in range(size)), "forget")
    return (
        "## Single strata\n\nShare of honest candidates with p at most alpha in one stratum, before any correction and "
        f"without a tolerance. Retain 0 is the nearest tenth.\n\n{table(head, rows)}"
    )


def _tests(found: Calibration) -> str:
    return (
        f"## Tests compared\n\n{_choice(found)}\n"
        "### p-values alone\n\nShare of draws in which some group rejects (Holm over groups), on the same draws.\n\n"
        f"{_test_table(found.tests, 'alone')}\n"
        "### With the lower bound above the default tolerance, as verdicts ask\n\n"
        f"{_test_table(found.tests, 'tolerated')}"
    )


def _choice(found: Calibration) -> str:
    standings = sorted(found.standings(), key=lambda standing: (-standing.holds, -standing.power))
    yes = {True: "yes", False: "**no**"}
    rows = [
        [s.test, yes[s.p_values], _least_holding(found, s.test), yes[s.verdicts], yes[s.simulated], percent(s.power)]
        for s in standings
    ]
    head = ("test", "p-values hold", "where least", "verdicts hold", "in the simulation too", "power")
    best = next((s.test for s in standings if s.holds), "none of them")
    alpha = percent(found.policy.alpha)
    return f"{CHOICE.format(alpha=alpha, best=best)}\n{table(head, rows)}"


def _least_holding(found: Calibration, test: str) -> str:
    cells = [cell for cell in found.tests if cell.test == test]
    worst = max(cells, key=lambda cell: cell.interval[0])
    return f"{percent(worst.alone[HONEST])} ({_interval(worst.interval)}) at K = {worst.num_references}"


def _bounds(found: Calibration) -> str:
    rows = [
        [b.bound, str(b.num_references), percent(b.passed), percent(b.equal), percent(b.unequal)]
        for name in BOUNDS
        for b in found.bounds
        if b.bound == name
    ]
    head = ("variance", "K", "honest pass", "pass at the tolerance", "the same, unequal spreads")
    text = BOUNDS_COMPARED.format(
        alpha=percent(found.policy.alpha), spread=max(SPREADS), retain=UNEQUAL[0], forget=UNEQUAL[2]
    )
    return f"{text}\n{table(head, rows)}"


def _test_table(cells: Sequence[TestShares], field: str) -> str:
    kinds = list(cells[0].alone)
    rows = [
        [name, str(cell.num_references), *(percent(getattr(cell, field)[kind]) for kind in kinds)]
        for name in TESTS
        for cell in cells
        if cell.test == name
    ]
    return table(("test", "K", *kinds), rows)


def _simulated(found: Calibration) -> str:
    rows = [
        [effects, f"{spread}", *(_outcomes(found.simulated[effects, spread, k]) for k in NUM_REFERENCES)]
        for effects in EFFECTS
        for spread in SPREADS
    ]
    head = ("model effects", "their spread", *(f"K = {k}" for k in NUM_REFERENCES))
    return (
        "## Simulation\n\nHonest candidates under a random-effects model of log discrepancies: fail / inconclusive / "
        "pass. A spread of 0.02 is near what ResNet-20 shows on CIFAR-100, 0.15 what ResNet-8 shows on digits.\n\n"
        f"{table(head, rows)}\n"
        f"Tests compared at a spread of {max(SPREADS)}: share of honest candidates that fail, with the default "
        f"tolerance, by the distribution of effects.\n\n{_test_table(found.simulated_tests, 'tolerated')}"
    )
