"""Controls that every audit runs on itself, at no extra training: does this audit fail what it should, and only that?

Each reference poses as the candidate against the others. K posing references would raise K times as many false alarms
as one, so each is judged at level alpha / K (Bonferroni): all of them together raise one in at most a share alpha of
audits. It takes K >= 4, so that three references are left to compare with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from unlearn_audit.auditing._scores import MIN_REFERENCES
from unlearn_audit.auditing.statistics import Comparison
from unlearn_audit.auditing.verdict import Policy, Verdict, decide

NOT_POSSIBLE = "not possible"


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
        alarms: sentences for the top of the report, one for each control that misbehaves.
        notes: what else a reader must know, for example that doing nothing would not fail.
    """

    rows: tuple[Control, ...]
    alarms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def withheld(self) -> bool:
        """Whether verdicts are withheld: some control misbehaves."""
        return bool(self.alarms)


def check_controls(
    policy: Policy,
    *,
    references: Mapping[str, Mapping[str, Comparison]],
    original: Mapping[str, Comparison] | None = None,
    untrained: Mapping[str, Comparison] | None = None,
) -> Controls:
    """Put models of known nature through the audit.

    Args:
        policy: as for the candidates.
        references: each reference posing as the candidate: by name and population, by the policy's measure.
        original: the model before unlearning, by population.
        untrained: an untrained model, by population.
    """
    rows = [_posing(policy, name, found, len(references)) for name, found in references.items()]
    if original:
        rows.append(_anchor("original", "any outcome: what doing nothing scores", decide(policy, original), None))
    if untrained:
        rows.append(_anchor("untrained", "must fail", decide(policy, untrained), "fail"))
    alarms = tuple(_alarm(row) for row in rows if not row.behaves)
    return Controls(tuple(rows), alarms, tuple(_notes(rows)))


def _posing(policy: Policy, name: str, comparisons: Mapping[str, Comparison], num_references: int) -> Control:
    expected = "must not fail"
    if num_references <= MIN_REFERENCES:
        reason = f"It takes at least {MIN_REFERENCES + 1} retrained models to let one pose as the candidate."
        return Control(name, "reference", expected, NOT_POSSIBLE, True, reason)
    strict = dataclasses.replace(policy, alpha=policy.alpha / num_references)
    verdict = decide(strict, comparisons)
    return Control(name, "reference", expected, verdict.outcome, verdict.outcome != "fail", verdict.reason)


def _anchor(role: str, expected: str, verdict: Verdict, must: str | None) -> Control:
    if verdict.num_references < MIN_REFERENCES:
        return Control(role, role, expected, NOT_POSSIBLE, True, verdict.reason)
    behaves = must is None or verdict.outcome == must
    return Control(role, role, expected, verdict.outcome, behaves, verdict.reason)


def _alarm(row: Control) -> str:
    if row.role == "untrained":
        return (
            "The untrained model does not fail, so this audit cannot tell even a model that learned nothing; "
            "add retrained models, or choose strata and a measure with more examples."
        )
    return (
        f"The retrained model {row.name!r} fails as a candidate, so the references are not alike; "
        "check that all were trained in the same way on the same retain set."
    )


def _notes(rows: list[Control]) -> list[str]:
    original = [row.observed for row in rows if row.role == "original"]
    if original == ["pass"]:
        return ["The original passes: on this forget set, doing nothing cannot be told from retraining by this audit."]
    if original == ["inconclusive"]:
        return ["The original does not fail: this audit has too little power to tell doing nothing from retraining."]
    return []
