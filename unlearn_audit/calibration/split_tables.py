"""The calibration on saved predictions as a Markdown page."""

from __future__ import annotations

from unlearn_audit.calibration.draws import HONEST
from unlearn_audit.calibration.splits import SplitCalibration, SplitShares
from unlearn_audit.calibration.tables import percent, table

INTRODUCTION = """# How often verdicts are right: {title}

```
{command}
```

made this page; do not edit it by hand. {number} retrained models, which differ only in their seed, and their
predictions of {examples}, in {classes} classes. Neighbourhood: {neighbourhood}.

Each retrained model in turn is the candidate, and any K of the others are the references: {which} of such audits.

Policy: {policy}.

**These are {number} models, and no more.** The audits share them, so that the shares below say little about other
models: where none of {number} fails, up to {upper} % of retrained models might (95 %, one-sided).
"""

RATIOS = """## How far a retrained model is from the others

D / F of each retrained model, all others being the references. 1 is the noise floor.
"""

HONEST_TEXT = """## Honest candidates

A retrained model as the candidate. That at most {alpha} % of them fail is {found}.
"""

POWER = """## Other candidates

fail / inconclusive / pass, in percent of audits.
"""


def split_markdown(found: SplitCalibration, *, title: str, command: str) -> str:
    """Return the page.

    Args:
        found: what was measured.
        title: of the data and the model.
        command: that made it.
    """
    policy, number = found.policy, len(found.names)
    described = (
        f"measure `{policy.measure}`, populations {' and '.join(policy.populations)}, strata {policy.strata}, "
        f"tolerance the larger of {policy.absolute} and {policy.relative} times the noise floor, alpha {policy.alpha}"
    )
    introduction = INTRODUCTION.format(
        title=title,
        command=command,
        number=number,
        examples=" and ".join(f"{count:,} {name} examples" for name, count in found.examples.items()),
        classes=found.classes,
        neighbourhood=found.neighbourhood,
        which="all" if all(cell.complete for cell in found.shares) else "all, or a random part,",
        policy=described,
        upper=percent(1 - policy.alpha ** (1 / number)),
    )
    return "\n".join([introduction, _ratios(found), _honest(found), *_power(found)])


def _ratios(found: SplitCalibration) -> str:
    rows = [[group, f"{min(values):.3f}", f"{max(values):.3f}"] for group, values in found.ratios.items()]
    return f"{RATIOS}\n{table(('examples', 'least', 'most'), rows)}"


def _honest(found: SplitCalibration) -> str:
    rows = [
        [
            str(cell.num_references),
            f"{cell.audits:,}",
            f"**{percent(cell.failed)}**",
            percent(cell.passed),
            percent(cell.inconclusive),
            f"{cell.models_failing} of {cell.models}",
            percent(found.withheld[cell.num_references]) if cell.num_references in found.withheld else "not possible",
        ]
        for cell in found.shares
        if cell.kind == HONEST
    ]
    head = ("K", "audits", "fail", "pass", "inconclusive", "models that ever fail", "withheld by controls")
    contradicted = "contradicted by these models" if found.contradicts else "not contradicted by these models"
    text = HONEST_TEXT.format(alpha=percent(found.policy.alpha), found=contradicted)
    return f"{text}\n{table(head, rows)}"


def _power(found: SplitCalibration) -> list[str]:
    kinds = list(dict.fromkeys(cell.kind for cell in found.shares if cell.kind != HONEST))
    numbers = sorted({cell.num_references for cell in found.shares})
    rows = [[kind, *(_outcomes(cell) for cell in found.shares if cell.kind == kind)] for kind in kinds]
    return [f"{POWER}\n{table(('candidate', *(f'K = {k}' for k in numbers)), rows)}"] if kinds else []


def _outcomes(cell: SplitShares) -> str:
    return f"{100 * cell.failed:.0f} / {100 * cell.inconclusive:.0f} / {100 * cell.passed:.0f}"
