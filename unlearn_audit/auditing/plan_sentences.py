"""A plan in a few sentences: what is memorised, who is near, what references could show, what is to be expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearn_audit.auditing._scores import MIN_REFERENCES

if TYPE_CHECKING:
    from unlearn_audit.auditing.plan import Detectable, Plan

SHOWN_NEIGHBOURS = 5
NEXT = "Three retrained models, given as references, say more: test examples may be known better than these would be."
CAVEAT = "This screens the original and passes nothing: only an audit with retrained models can."


def plan_sentences(plan: Plan) -> tuple[str, ...]:
    """Say a plan in lines of one or two sentences each, in the order in which a reader should know them."""
    return (_memorised(plan), _recognised(plan), _neighbours(plan), _references(plan), _prospect(plan), CAVEAT)


def _memorised(plan: Plan) -> str:
    return (
        f"The original's mean confidence in the label of {_deleted(plan)} is {_percent(plan.confidence)}, and "
        f"{_compared(plan)} {_percent(plan.held_out_confidence)}: {_points(plan.memorised)} points "
        f"({_points(plan.lower)} to {_points(plan.upper)}, 95 %; tolerance {100 * plan.tolerance:g})."
    )


def _compared(plan: Plan) -> str:
    if not plan.known_references:
        return "that of test examples of the same classes, as near,"
    return (
        "that of one retrained model"
        if plan.known_references == 1
        else f"that of {plan.known_references} retrained models"
    )


def _recognised(plan: Plan) -> str:
    return f"Deleted examples that it recognises: {plan.recognised} of {plan.forget_size}."


def _neighbours(plan: Plan) -> str:
    shown = [f"{found.class_name} ({found.near} of {found.total})" for found in plan.neighbours[:SHOWN_NEIGHBOURS]]
    more = len(plan.neighbours) - len(shown)
    rest = f", and {more} more" if more > 0 else ""
    return f"Near them, by class of the nearest tenth of the retained examples: {', '.join(shown)}{rest}."


def _references(plan: Plan) -> str:
    told = ", ".join(f"{_seen(found)} with {found.num_references}{_cost(found)}" for found in plan.detectable)
    return f"The least difference, in points, that an audit would show in 80 % of cases, by retrained models: {told}."


def _seen(found: Detectable) -> str:
    """Write from what to what the least difference is that is seen, in points of confidence."""
    least, most = f"{100 * found.least:.0f}", f"{100 * found.most:.0f}"
    if found.least >= 1:
        return "none"
    if found.most >= 1:
        return f"{least} or more"
    return least if least == most else f"{least} to {most}"


def _time(seconds: float) -> str:
    """Write a number of seconds in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _cost(found: Detectable) -> str:
    return "" if found.seconds is None else f" ({_time(found.seconds)})"


def _prospect(plan: Plan) -> str:
    if plan.prospect == "would fail":
        return f"A model that was not touched would fail: there is something to forget. {_enough(plan)}"
    told = (
        "A model that was not touched might pass: nothing measurable seems to be memorised, and a pass would then say "
        "little of a method."
        if plan.prospect == "might pass"
        else "Whether a model that was not touched would fail cannot be told from these predictions."
    )
    return f"{told} {NEXT}" if plan.known_references < MIN_REFERENCES else told


def _enough(plan: Plan) -> str:
    may = [found.num_references for found in plan.detectable if found.least <= plan.memorised]
    should = [found.num_references for found in plan.detectable if found.most <= plan.memorised]
    if should and may[0] == should[0]:
        return f"{should[0]} retrained models should show it."
    if should:
        return f"{may[0]} retrained models may show it, {should[0]} should."
    most = plan.detectable[-1].num_references
    return (
        f"{may[0]} retrained models may show it." if may else f"Not even {most} retrained models are sure to show it."
    )


def _deleted(plan: Plan) -> str:
    return "the deleted example" if plan.forget_size == 1 else f"the {plan.forget_size} deleted examples"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}"
