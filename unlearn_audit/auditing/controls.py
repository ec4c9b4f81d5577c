"""Controls that every audit runs on itself, at no extra training: does this audit fail what it should, and only that?

Each reference poses as the candidate against the others. K posing references would raise K times as many false alarms
as one, so that each is judged at its share of a level for all of them (Bonferroni), and a level below alpha: a false
alarm here costs the whole audit its answer. It takes K >= 4, so that three references are left to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unlearn_audit.auditing._scores import MIN_REFERENCES
from unlearn_audit.auditing.judgement import Judgement, memorised
from unlearn_audit.auditing.suspicions import Suspicion
from unlearn_audit.auditing.verdict import verdict_of

NOT_POSSIBLE = "not possible"
# Of alpha, for all posing references together. At the whole of it, 7 % of honest audits were withheld on a pool whose
# models were less alike than those that ship; with this, 4 %. What is really wrong is found as before.
SHARE_OF_ALPHA = 0.4


@dataclass(frozen=True)
class Control:
    """One model of known nature, put through the audit.

    Attributes:
        name: of the model.
        role: "reference", "original" or "untrained".
        expected: what an audit that works says of it, in words.
        observed: what this one says: "pass", "fail", "inconclusive", or "not possible" with so few references.
        behaves: whether that is as it should be.
        reason: one sentence.
    """

    name: str
    role: str
    expected: str
    observed: str
    behaves: bool
    reason: str


@dataclass(frozen=True)
class Controls:
    """All controls of an audit.

    Attributes:
        rows: one a model.
        alarms: sentences for the top of the report: what is wrong with the references, and controls that misbehave.
        notes: what else a reader must know: whether there was anything to forget.
    """

    rows: tuple[Control, ...]
    alarms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def withheld(self) -> bool:
        """Whether verdicts are withheld: some reference is suspicious, or some control misbehaves."""
        return bool(self.alarms)


def posing_alpha(alpha: float, num_references: int) -> float:
    """Return the level at which each of K references is judged when it poses as the candidate."""
    return SHARE_OF_ALPHA * alpha / num_references


def check_controls(
    *,
    references: Mapping[str, Judgement],
    original: Judgement | None = None,
    untrained: Judgement | None = None,
    suspicions: Sequence[Suspicion] = (),
    notes: Sequence[str] = (),
) -> Controls:
    """Look at what the audit says of models of known nature.

    Args:
        references: each reference posing as the candidate, judged at `posing_alpha`, by name.
        original: the model before unlearning.
        untrained: an untrained model.
        suspicions: what is wrong with the references.
        notes: what else a reader must know, first.
    """
    rows = [_posing(name, judgement) for name, judgement in references.items()]
    if original is not None:
        rows.append(_anchor("original", "any outcome: what doing nothing scores", original, None))
    if untrained is not None:
        rows.append(_anchor("untrained", "must fail", untrained, "fail"))
    alarms = [suspicion.sentence for suspicion in suspicions] + [_alarm(row) for row in rows if not row.behaves]
    told = [*notes, *([] if original is None or not original.answers else [_was_there_anything(original)])]
    return Controls(tuple(rows), tuple(alarms), tuple(told))


def _posing(name: str, judgement: Judgement) -> Control:
    expected = "must not fail"
    if judgement.num_references < MIN_REFERENCES:
        reason = f"It takes at least {MIN_REFERENCES + 1} retrained models to let one pose as the candidate."
        return Control(name, "reference", expected, NOT_POSSIBLE, True, reason)
    verdict = verdict_of(judgement)
    return Control(name, "reference", expected, verdict.outcome, verdict.outcome != "fail", verdict.reason)


def _anchor(role: str, expected: str, judgement: Judgement, must: str | None) -> Control:
    verdict = verdict_of(judgement)
    if judgement.num_references < MIN_REFERENCES:
        return Control(role, role, expected, NOT_POSSIBLE, True, verdict.reason)
    behaves = must is None or verdict.outcome == must
    return Control(role, role, expected, verdict.outcome, behaves, verdict.reason)


def _alarm(row: Control) -> str:
    if row.role == "untrained":
        return (
            "The untrained model does not fail, so this audit cannot tell even a model that learned nothing: "
            "add retrained models."
        )
    return (
        f"The retrained model {row.name!r} fails as a candidate, so the references are not alike: "
        "check that all were trained in the same way on the same retain set."
    )


def _was_there_anything(original: Judgement) -> str:
    """Say whether there was anything to forget. That nothing was, and that it cannot be told, are different answers."""
    known = memorised(original)
    if known == "yes":
        return "The original fails the question whether it is forgotten: there was something to forget."
    if known == "nothing measurable":
        return "Nothing measurable was memorised: on the forget set, a model that was not touched would pass."
    return "Whether there was anything to forget is not known: these references do not settle it for the original."
