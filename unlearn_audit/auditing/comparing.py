"""Every model compared with the references on one population; the references themselves pose as candidates too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unlearn_audit.auditing.discrepancy import Discrepancies
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.statistics import Comparison, compare, pose, sampling_variance, spearman
from unlearn_audit.populations import POPULATIONS, TEST


@dataclass(frozen=True, eq=False)
class Examples:
    """The m examples of one population, among the n that discrepancies are known of.

    Attributes:
        population: its name. Test examples are a sample, so that theirs adds a sampling error.
        rows: (n,) bool, which examples these are.
        groups: their S strata among the groups of `Discrepancies`.
        stratum: (m,) in [0, S), or -1 for none.
        num_strata: S.
        proximity: (m,), for the rank correlation with the excess; None leaves that out.
    """

    population: str
    rows: np.ndarray
    groups: slice
    stratum: np.ndarray
    num_strata: int
    proximity: np.ndarray | None = None

    @cached_property
    def ranks(self) -> np.ndarray | None:
        """The ranks of the proximity (m,), which every model is compared with."""
        from scipy.stats import rankdata

        return None if self.proximity is None else np.asarray(rankdata(self.proximity))


def comparisons(
    found: Discrepancies,
    examples: Examples,
    policy: Policy,
    *,
    models: Mapping[str, Sequence[int]],
    references: Sequence[str],
) -> Iterator[tuple[str, Comparison]]:
    """Yield each model's name and comparison with the references; then each reference's with the others (K > 1).

    Args:
        found: discrepancies by one measure.
        examples: which of the examples to compare on.
        policy: gives tolerance and level.
        models: by name, the rows of `found.models` (J of a method, or one).
        references: the K names, in the order of `found.references`.
    """
    between = found.references[:, :, examples.groups]
    counts = found.counts[examples.groups]
    for name, chosen in models.items():
        rows = list(chosen)
        to_references, pointwise = found.models[rows][:, :, examples.groups], found.pointwise[rows].mean(axis=0)
        yield name, _compared(found, examples, policy, to_references, between, pointwise, counts)
    for k, name in enumerate(references if len(references) > 1 else ()):
        pointwise, counts = found.pointwise_references[k], found.reference_counts[k, examples.groups]
        yield name, _compared(found, examples, policy, *pose(between, k), pointwise, counts)


def _compared(
    found: Discrepancies,
    examples: Examples,
    policy: Policy,
    candidate: np.ndarray,
    references: np.ndarray,
    pointwise: np.ndarray,
    counts: np.ndarray,
) -> Comparison:
    comparison = compare(
        candidate,
        references,
        counts=counts,
        zero_floor=found.measure.zero_floor,
        sampling=_sampling(found, examples, pointwise) if len(references) > 1 else None,
        tolerance=policy.pattern if found.measure.name == policy.measure else 0.0,
        alpha=policy.alpha,
    )
    if comparison.contrast is None or examples.proximity is None:
        return comparison
    rank = spearman(examples.proximity, (pointwise - found.floor)[examples.rows], examples.ranks)
    return dataclasses.replace(comparison, contrast=dataclasses.replace(comparison.contrast, spearman=rank))


def _sampling(found: Discrepancies, examples: Examples, pointwise: np.ndarray) -> np.ndarray | None:
    if examples.population != POPULATIONS[TEST]:
        return None
    return sampling_variance(
        pointwise[examples.rows],
        found.floor[examples.rows],
        examples.stratum,
        examples.num_strata,
        zero_floor=found.measure.zero_floor,
    )
