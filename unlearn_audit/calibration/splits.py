"""Every audit that a few saved models allow: each in turn as the candidate, and any K of the others as references."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unlearn_audit.auditing._scores import MIN_REFERENCES
from unlearn_audit.auditing.controls import check_controls
from unlearn_audit.auditing.models import AuditSubject, populations
from unlearn_audit.auditing.statistics import Comparison, compare, pose
from unlearn_audit.auditing.verdict import Policy, Verdict, decide
from unlearn_audit.calibration.draws import HONEST
from unlearn_audit.errors import AuditError, ConfigurationError
from unlearn_audit.populations import POPULATIONS

if TYPE_CHECKING:
    from unlearn_audit.neighbourhood import Neighbourhood
    from unlearn_audit.predictions import PredictionSource
    from unlearn_audit.saved.request import AuditRequest

LARGEST = 8  # references in a table at most
POSSIBLE = ("retain", "forget")  # on test examples the sampling error would have to be measured for every split


@dataclass(frozen=True)
class SplitShares:
    """What became of all audits of one kind of candidate with K references, as shares of them.

    Attributes:
        kind: of the candidate; "retrained" is honest.
        num_references: K.
        audits: how many.
        complete: whether these are all that the models allow, or a random part of them.
        failed, passed: shares; the rest is inconclusive.
        models: how many different candidates there are.
        models_failing: how many of them fail in some audit.
    """

    kind: str
    num_references: int
    audits: int
    complete: bool
    failed: float
    passed: float
    models: int
    models_failing: int

    @property
    def inconclusive(self) -> float:
        """The rest."""
        return 1 - self.failed - self.passed


@dataclass(frozen=True)
class SplitCalibration:
    """What the saved predictions of N retrained models say about verdicts.

    Attributes:
        policy: whose verdicts these are.
        names: of the N retrained models.
        examples: how many are compared, by population.
        classes: number of classes.
        neighbourhood: in words.
        ratios: by group of examples, D / F of each retrained model against all others (N,).
        shares: every kind at every K.
        withheld: by K >= 4, the share of sets of references whose controls withhold the verdict though all are honest.
    """

    policy: Policy
    names: tuple[str, ...]
    examples: dict[str, int]
    classes: int
    neighbourhood: str
    ratios: dict[str, tuple[float, ...]]
    shares: tuple[SplitShares, ...]
    withheld: dict[int, float]

    @property
    def contradicts(self) -> bool:
        """Whether so many of the N models fail, at some K, that a share of alpha cannot explain it (binomial, 5 %)."""
        from scipy.stats import binom

        number, alpha = len(self.names), self.policy.alpha
        failing = [math.ceil(cell.failed * number - 1e-9) for cell in self.shares if cell.kind == HONEST]
        return bool(binom.sf(max(failing) - 1, number, alpha) <= 0.05)


def calibrate_saved(
    request: AuditRequest,
    *,
    base: str | Path = ".",
    limit: int = 1000,
    progress: Callable[[str, int, int], None] | None = None,
    seed: int = 0,
) -> SplitCalibration:
    """Audit saved models of known nature in all possible ways.

    Args:
        request: its references are the N >= 4 retrained models; its candidates, if any, the original and the untrained
            model are audited too.
        base: of the request's relative paths.
        limit: audits a cell at most; of more that are possible, a random part of this size is taken.
        progress: called with what comes next, how many steps are done, and how many there are.
        seed: of that random part.

    Raises:
        PredictionsError: for files that cannot be read or do not fit together.
        AuditError: for fewer than four retrained models.
        ConfigurationError: for a policy whose verdicts cannot be had from means of pairs of models.
    """
    _check(request)
    tell = progress or (lambda *_: None)
    numbers = range(MIN_REFERENCES, min(len(request.references) - 1, LARGEST) + 1)
    steps = len(numbers) + 1
    tell("reading predictions", 0, steps)
    pool = _Pool.read(request, Path(base))
    rng, shares, withheld = np.random.default_rng(seed), [], {}
    for step, k in enumerate(numbers, start=1):
        tell(f"verdicts with {k} references", step, steps)
        shares += [_shares(pool, kind, k, limit, rng) for kind in pool.kinds]
        if k > MIN_REFERENCES:
            withheld[k] = _withheld(pool, k, limit, rng)
    return SplitCalibration(
        policy=request.policy,
        names=tuple(request.references),
        examples={name: int(pool.counts[i].sum()) for i, name in enumerate(POPULATIONS) if name in POSSIBLE},
        classes=pool.subject.first.num_classes,
        neighbourhood=pool.neighbourhood.description,
        ratios=pool.ratios(),
        shares=tuple(shares),
        withheld=withheld,
    )


def _check(request: AuditRequest) -> None:
    if len(request.references) <= MIN_REFERENCES:
        raise AuditError(
            f"Expected at least {MIN_REFERENCES + 1} retrained models, so that one can be the candidate, "
            f"got {len(request.references)}."
        )
    wrong = [name for name in request.policy.populations if name not in POSSIBLE]
    if wrong:
        raise ConfigurationError(f"policy.populations: calibration looks at {list(POSSIBLE)} alone, got {wrong}.")


@dataclass(frozen=True, eq=False)
class _Pool:
    """Means of pairwise discrepancies: of the N retrained models, and of all others to them."""

    policy: Policy
    subject: AuditSubject
    neighbourhood: Neighbourhood
    counts: np.ndarray  # (P, S)
    zero_floor: bool
    between: np.ndarray  # (N, N, P, S)
    others: dict[str, np.ndarray]  # by kind (M, N, P, S)

    @classmethod
    def read(cls, request: AuditRequest, base: Path) -> _Pool:
        from unlearn_audit.auditing.discrepancy import discrepancies
        from unlearn_audit.measures import registry
        from unlearn_audit.saved.running import read_neighbourhood, read_subject

        measure = registry.create(request.policy.measure)
        if measure.where_references_agree:
            raise ConfigurationError(
                f"policy.measure: calibration cannot use {measure.name!r}, which counts different examples for "
                "different references."
            )
        subject = read_subject(_with_candidate(request), base)
        neighbourhood = read_neighbourhood(request, subject, base)
        kinds = _kinds(request, subject)
        retrained = [model.predictions[0] for model in subject.references.values()]
        strata = len(neighbourhood.strata)
        groups = np.where(neighbourhood.stratum < 0, -1, populations(subject) * strata + neighbourhood.stratum)
        shape, sources = (len(POPULATIONS), strata), [source for found in kinds.values() for source in found]
        (found,), _ = discrepancies(sources, retrained, groups, math.prod(shape), [measure])
        starts = np.cumsum([0, *map(len, kinds.values())])
        return cls(
            policy=request.policy,
            subject=subject,
            neighbourhood=neighbourhood,
            counts=found.counts.reshape(shape),
            zero_floor=measure.zero_floor,
            between=found.references.reshape(len(retrained), -1, *shape),
            others={
                kind: found.models[first:last].reshape(-1, len(retrained), *shape)
                for kind, first, last in zip(kinds, starts, starts[1:], strict=False)
            },
        )

    @property
    def number(self) -> int:
        """N."""
        return len(self.between)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Honest candidates first."""
        return (HONEST, *self.others)

    def candidates(self, kind: str) -> np.ndarray:
        """Return means (M, N, P, S) of the candidates of a kind to all retrained models."""
        return self.between if kind == HONEST else self.others[kind]

    def comparisons(self, candidate: np.ndarray, references: np.ndarray) -> dict[str, Comparison]:
        """Compare a candidate (K, P, S) with references (K, K, P, S), by population."""
        policy = self.policy
        return {
            name: compare(
                candidate[None, :, place],
                references[:, :, place],
                counts=self.counts[place],
                zero_floor=self.zero_floor,
                nearest=policy.nearest,
                tolerance=policy.tolerance,
                alpha=policy.alpha,
            )
            for place, name in enumerate(POPULATIONS)
            if name in policy.populations
        }

    def verdict(self, kind: str, model: int, references: tuple[int, ...]) -> Verdict:
        """Audit one model of a kind."""
        chosen = list(references)
        candidate = self.candidates(kind)[model][chosen]
        return decide(self.policy, self.comparisons(candidate, self.between[np.ix_(chosen, chosen)]))

    def withheld(self, references: tuple[int, ...]) -> bool:
        """Whether controls withhold all verdicts against these references."""
        chosen = self.between[np.ix_(references, references)]
        posing = {}
        for k in range(len(references)):
            candidate, others = pose(chosen.reshape(len(chosen), len(chosen), -1), k)
            shape = self.counts.shape
            posing[str(k)] = self.comparisons(
                candidate[0].reshape(-1, *shape), others.reshape(len(others), len(others), *shape)
            )
        return check_controls(self.policy, references=posing).withheld

    def ratios(self) -> dict[str, tuple[float, ...]]:
        """Return by group D / F of each retrained model against all others."""
        found: dict[str, list[float | None]] = {}
        for model in range(self.number):
            others = [other for other in range(self.number) if other != model]
            compared = self.comparisons(self.between[model][others], self.between[np.ix_(others, others)])
            for population, comparison in compared.items():
                if population != "forget":
                    found.setdefault(f"nearest {population}", []).append(comparison.nearest.ratio)
                found.setdefault(f"all {population}", []).append(comparison.overall.ratio)
        known = {group: [value for value in values if value is not None] for group, values in found.items()}
        return {group: tuple(values) for group, values in known.items() if len(values) == self.number}


def _with_candidate(request: AuditRequest) -> AuditRequest:
    """Return the request with at least one candidate, as an audit wants it."""
    if request.candidates:
        return request
    first = next(iter(request.references.values()))
    return dataclasses.replace(request, candidates={"one of the retrained": first})


def _kinds(request: AuditRequest, subject: AuditSubject) -> dict[str, tuple[PredictionSource, ...]]:
    """Return all models that are not retrained ones, by kind."""
    models = [(name, role, model) for name, role, model in subject.items() if role != "reference"]
    wanted = [(name, model) for name, role, model in models if role != "candidate" or name in request.candidates]
    return {name: model.predictions for name, model in wanted}


def _shares(pool: _Pool, kind: str, k: int, limit: int, rng: np.random.Generator) -> SplitShares:
    models = len(pool.candidates(kind))
    chosen, complete = _chosen(pool.number, k, models, kind == HONEST, limit, rng)
    outcomes = [(model, pool.verdict(kind, model, references).outcome) for model, references in chosen]
    failing = [model for model, outcome in outcomes if outcome == "fail"]
    return SplitShares(
        kind=kind,
        num_references=k,
        audits=len(outcomes),
        complete=complete,
        failed=len(failing) / len(outcomes),
        passed=sum(outcome == "pass" for _, outcome in outcomes) / len(outcomes),
        models=models,
        models_failing=len(set(failing)),
    )


def _chosen(
    number: int, k: int, models: int, honest: bool, limit: int, rng: np.random.Generator
) -> tuple[list[tuple[int, tuple[int, ...]]], bool]:
    """Return (candidate, references) of all possible audits, or of `limit` random ones, and whether these are all."""
    if math.comb(number, k) * (number - k if honest else models) <= limit:
        return list(_all_splits(number, k, models, honest)), True
    found = []
    for _ in range(limit):
        order = [int(model) for model in rng.permutation(number)]
        candidate = order[k] if honest else int(rng.integers(models))
        found.append((candidate, tuple(sorted(order[:k]))))
    return found, False


def _all_splits(number: int, k: int, models: int, honest: bool) -> Iterator[tuple[int, tuple[int, ...]]]:
    for references in itertools.combinations(range(number), k):
        for candidate in range(models):
            if not (honest and candidate in references):
                yield candidate, references


def _withheld(pool: _Pool, k: int, limit: int, rng: np.random.Generator) -> float:
    chosen, _ = _chosen(pool.number, k, 1, False, max(1, limit // k), rng)
    return float(np.mean([pool.withheld(references) for _, references in chosen]))
