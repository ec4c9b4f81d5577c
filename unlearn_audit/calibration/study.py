"""The calibration study: how often verdicts are right, for K = 3, 4, 5, 8 and 16 references."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unlearn_audit.auditing import many
from unlearn_audit.auditing._scores import MIN_REFERENCES
from unlearn_audit.auditing.verdict import Policy
from unlearn_audit.calibration import rivals
from unlearn_audit.calibration.draws import (
    HONEST,
    Draws,
    Means,
    Shares,
    draw,
    measure,
    ratios_to_all,
    shares,
    verdict_shares,
    wilson,
    withheld_share,
    wrongly_passed,
)
from unlearn_audit.calibration.pool import KINDS, PoolSize, load_pool
from unlearn_audit.calibration.simulation import EFFECTS, simulate, simulate_at_tolerance
from unlearn_audit.errors import ConfigurationError

NUM_REFERENCES = (3, 4, 5, 8, 16)
RELATIVE = (0.0, 0.25, 0.5)  # tolerances that are compared
SPREADS = (0.02, 0.15)  # of model effects: about CIFAR-100's and the digits'
UNEQUAL = (0.1, 0.1, 0.2)  # spreads where the forget set's is twice the retain set's
AT_TOLERANCE = ("normal", "exponential", "log-normal")  # effects whose exponential has a mean


@dataclass(frozen=True)
class TestShares:
    """How one test does at one K: shares of draws that some group rejects, honest and not.

    Attributes:
        alone: by kind, with Holm over groups and no tolerance.
        tolerated: by kind, where the lower bound must be above the default tolerance too.
        interval: 95 % interval of the honest share of `alone`, over pools; (0, 0) where no kind is called honest.
    """

    test: str
    num_references: int
    alone: dict[str, float]
    tolerated: dict[str, float]
    interval: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Standing:
    """Whether a test may be used, and its power.

    Attributes:
        p_values: whether its p-values by themselves hold alpha on the pool: at each K the 95 % interval of the share of
            honest candidates that they reject reaches down to alpha.
        verdicts: whether verdicts by it fail at most alpha of honest candidates of the pool at each K.
        simulated: the same in the simulation, up to its own error.
        power: share of all other candidates that verdicts by it fail; the mean over kinds and K.
    """

    test: str
    p_values: bool
    verdicts: bool
    simulated: bool
    power: float

    @property
    def holds(self) -> bool:
        """Whether it may be used."""
        return self.p_values and self.verdicts and self.simulated


@dataclass(frozen=True)
class BoundShares:
    """How one way to bound the ratio does at one K.

    Attributes:
        passed: share of the pool's honest candidates whose upper bounds are all within the tolerance.
        equal: largest share of simulated candidates at the tolerance that pass, models varying equally in all groups.
        unequal: the same where they vary twice as much on the forget set.
    """

    bound: str
    num_references: int
    passed: float
    equal: float
    unequal: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """All that the study found.

    Attributes:
        policy: whose verdicts were studied.
        draws: random audits a cell.
        num_retrained: N, the pool's retrained models.
        verdicts: by (kind, K, relative tolerance).
        wrongly_passed: by (kind, K), share that passes of candidates that are beyond the tolerance when all of the
            pool's retrained models are the references; None where there is no such candidate.
        strata: by K, (S + 1,) share of honest candidates with p <= alpha in each retain stratum and the forget set.
        withheld: by K, share of audits whose controls would withhold the verdict though all references are honest.
        tests: each test at each K.
        simulated: by (effects, spread, K).
        simulated_tests: each test at each K on honest candidates, by the distribution of effects, at the larger spread.
        bounds: each way to bound the ratio, at each K.
    """

    policy: Policy
    draws: int
    num_retrained: int
    verdicts: dict[tuple[str, int, float], Shares]
    wrongly_passed: dict[tuple[str, int], float | None]
    strata: dict[int, np.ndarray]
    withheld: dict[int, float]
    tests: list[TestShares]
    simulated: dict[tuple[str, float, int], Shares]
    simulated_tests: list[TestShares]
    bounds: list[BoundShares]

    def standings(self) -> list[Standing]:
        """Tell of each test whether it may be used, and its power."""
        return [self._standing(name) for name in rivals.TESTS]

    def _standing(self, name: str) -> Standing:
        cells = [cell for cell in self.tests if cell.test == name]
        simulated = [share for c in self.simulated_tests if c.test == name for share in c.tolerated.values()]
        power = [share for cell in cells for kind, share in cell.tolerated.items() if kind != HONEST]
        alpha = self.policy.alpha
        return Standing(
            test=name,
            p_values=all(cell.interval[0] <= alpha for cell in cells),
            verdicts=all(cell.tolerated[HONEST] <= alpha for cell in cells),
            simulated=all(wilson(round(share * self.draws), self.draws)[0] <= alpha for share in simulated),
            power=float(np.mean(power)),
        )

    @property
    def holds(self) -> bool:
        """Whether honest candidates fail in at most alpha of draws at every K, under the default policy."""
        cells = [found for (kind, _, relative), found in self.verdicts.items() if kind == HONEST and relative == 0.25]
        return all(found.failed <= self.policy.alpha for found in cells)


def calibrate(
    *,
    size: PoolSize | None = None,
    draws: int = 10_000,
    folder: str | Path | None = None,
    output: str | Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    seed: int = 0,
) -> Calibration:
    """Run the study; models that the cache does not hold are trained first.

    Args:
        size: of the pool.
        draws: random audits a cell, at least 100.
        folder: of the cache.
        output: write the tables there, as Markdown.
        progress: called with what comes next, how many steps are done, and how many there are.
        seed: of the draws.
    """
    if draws < 100:
        raise ConfigurationError(f"Expected at least 100 draws, got {draws}.")
    pool = load_pool(size, folder=folder, progress=progress)
    found = study(measure(pool), draws=draws, seed=seed, progress=progress)
    if output is not None:
        from unlearn_audit.calibration.tables import markdown

        Path(output).write_text(markdown(found), encoding="utf-8")
    return found


def study(
    means: Means, *, draws: int, seed: int = 0, progress: Callable[[str, int, int], None] | None = None
) -> Calibration:
    """Draw audits from measured means."""
    policy = Policy()
    rng = np.random.default_rng(seed)
    tell = progress or (lambda *_: None)
    kinds = [kind for kind in KINDS if kind == HONEST or kind in means.others]
    verdicts, wrong, strata, withheld, tests, bounds = {}, {}, {}, {}, [], []
    ratios = {kind: ratios_to_all(means, kind, policy.nearest) for kind in kinds}
    for step, k in enumerate(NUM_REFERENCES):
        tell(f"verdicts with {k} references", step, len(NUM_REFERENCES) + 1)
        cells = _TestCells(policy)
        for kind in kinds:
            found = draw(means, kind, k, draws, rng)
            for relative in RELATIVE:
                verdicts[kind, k, relative] = verdict_shares(found, dataclasses.replace(policy, relative=relative))
            wrong[kind, k] = wrongly_passed(found, ratios[kind], policy)
            cells.add(kind, found)
            if kind == HONEST:
                p_values = many.p_values(found.candidate, found.references)
                strata[k] = (p_values <= policy.alpha).mean(axis=0)
                withheld[k] = withheld_share(found, policy) if k > MIN_REFERENCES else 0.0
                bounds += _bound_shares(found, k, policy, draws, rng)
        tests += cells.shares(k)
    tell("simulation", len(NUM_REFERENCES), len(NUM_REFERENCES) + 1)
    simulated, simulated_tests = _simulation(policy, draws, rng)
    count = means.num_retrained
    return Calibration(
        policy, draws, count, verdicts, wrong, strata, withheld, tests, simulated, simulated_tests, bounds
    )


def _bound_shares(honest: Draws, k: int, policy: Policy, draws: int, rng: np.random.Generator) -> list[BoundShares]:
    """Compare all bounds on the same draws: honest ones of the pool, and candidates at the tolerance in one group."""
    hardest = {
        spreads: [
            simulate_at_tolerance(k, spreads, effects, draws, rng, group=group, relative=policy.relative)
            for effects in AT_TOLERANCE
            for group in (0, 2)
        ]
        for spreads in ((max(SPREADS),) * 3, UNEQUAL)
    }
    return [
        BoundShares(
            name,
            k,
            _passing(honest, bound, policy),
            *(max(_passing(found, bound, policy) for found in drawn) for drawn in hardest.values()),
        )
        for name, bound in rivals.BOUNDS.items()
    ]


def _passing(found: Draws, bound: rivals.Bounds, policy: Policy) -> float:
    candidate, references = found.verdict_groups(policy.nearest)
    upper = bound(candidate, references, policy.alpha)[1]
    return float((upper <= many.limits(references, policy)).all(axis=1).mean())


def _simulation(
    policy: Policy, draws: int, rng: np.random.Generator
) -> tuple[dict[tuple[str, float, int], Shares], list[TestShares]]:
    verdicts, tests = {}, []
    for k in NUM_REFERENCES:
        cells = _TestCells(policy)
        for spread, effects in itertools.product(SPREADS, EFFECTS):
            found = simulate(k, spread, effects, draws, rng)
            verdicts[effects, spread, k] = verdict_shares(found, policy)
            if spread == max(SPREADS):
                cells.add(effects, found)
        tests += cells.shares(k)
    return verdicts, tests


class _TestCells:
    """Compares all tests on the same draws, kind after kind, on the groups that verdicts rest on."""

    def __init__(self, policy: Policy):
        self._policy = policy
        self._alone: dict[str, dict[str, float]] = {name: {} for name in rivals.TESTS}
        self._tolerated: dict[str, dict[str, float]] = {name: {} for name in rivals.TESTS}
        self._intervals = dict.fromkeys(rivals.TESTS, (0.0, 0.0))

    def add(self, kind: str, found: Draws) -> None:
        """Test the draws of one kind of candidate."""
        candidate, references = found.verdict_groups(self._policy.nearest)
        alpha = self._policy.alpha
        far = many.bounds(candidate, references, alpha)[0] > many.limits(references, self._policy)
        for name, test in rivals.TESTS.items():
            rejected = many.rejected(test(candidate, references), alpha)
            some = np.any(rejected, axis=1)
            self._alone[name][kind] = float(some.mean())
            self._tolerated[name][kind] = float((rejected & far).any(axis=1).mean())
            if kind == HONEST:
                self._intervals[name] = shares(some, np.zeros(len(some), bool), found.models).over_models

    def shares(self, k: int) -> list[TestShares]:
        """Return what was found, a row a test."""
        return [
            TestShares(name, k, self._alone[name], self._tolerated[name], self._intervals[name])
            for name in rivals.TESTS
        ]
