"""Draws that anyone can repeat, such as half of a class by seed 0, held against the published figures and the hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.data.forget import draw
from unlearn_audit.publishing.attacks._exposure import Exposure, Target
from unlearn_audit.publishing.public import FEWEST_DIGITS
from unlearn_audit.saved.forgotten import Forgotten, commitment

__all__ = ["guesses"]

SEEDS = (*range(100), 123, 1234, 12345, 2024, 2025, 2026)


def guesses(target: Target) -> Iterator[Exposure]:
    """Name the draw that fits what is published; where several do, one of them by lot."""
    fitting = [drawn for drawn in _draws(target) if _fits(target, drawn)]
    found = float(np.mean([target.found(drawn) for drawn in fitting])) if fitting else target.chance
    told = f"The draw that fits the published figures, of {len(SEEDS)} seeds"
    yield Exposure("guesses", told, found, target.chance, found > (1 + target.chance) / 2, "figures")


def _draws(target: Target) -> Iterator[np.ndarray]:
    """Yield draws (n,) bool of as many examples of each class as were forgotten: `ForgetSet.by_class` and `random`."""
    size, forgotten = target.by_class
    one_class = np.flatnonzero(forgotten)
    candidates = np.arange(len(target.ids)) if len(one_class) > 1 else np.flatnonzero(target.labels == one_class[0])
    for seed in SEEDS:
        chosen = np.zeros(len(target.ids), bool)
        chosen[draw(candidates, int(forgotten.sum()), seed=seed)] = True
        if np.array_equal(np.bincount(target.labels[chosen], minlength=len(size)), forgotten):
            yield chosen


def _fits(target: Target, drawn: np.ndarray) -> bool:
    """Tell whether the hash confirms a draw, or else the published figures on the forget set do, if there are any."""
    if target.commitment in _hashes(target, drawn):
        return True
    stated = _stated(target.report, target.candidate) if target.report else ()
    computed = (target.correct[target.candidate][drawn].mean(), target.confidence[target.candidate][drawn].mean())
    pairs = [(a, float(b)) for a, b in zip(stated, computed, strict=False) if a is not None]
    return bool(pairs) and all(_rounds_to(a, b) for a, b in pairs)


def _rounds_to(stated: float, computed: float) -> bool:
    """Tell whether a published figure may be this one, rounded; float32 is less exact than what is published."""
    unit = 10 ** (np.floor(np.log10(max(abs(stated), 1e-12))) - FEWEST_DIGITS + 1)
    return bool(abs(stated - computed) <= 0.5 * unit + 1e-6)


def _stated(report: AuditReport, candidate: str) -> tuple[float | None, float | None]:
    """Return a model's accuracy and mean confidence on the forget set, as they are published."""
    judgement = report.judgements.get(candidate)
    findings = [f for answer in judgement.answers for f in answer.findings] if judgement else []
    level = next((f.value for f in findings if (f.group, f.kind) == ("forget", "level")), None)
    figures = report.aggregate.get(candidate)
    return (figures.forget_accuracy if figures else None), level


def _hashes(target: Target, drawn: np.ndarray) -> set[str]:
    """Return the hashes of a draw that need no salt."""
    ids = target.ids[drawn].tolist()
    by_data = hashlib.sha256("\n".join([target.fingerprint, *ids]).encode()).hexdigest()
    return {Forgotten.of(ids).hash, commitment(ids, ""), by_data}
