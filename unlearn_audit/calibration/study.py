"""The calibration study: how often verdicts are right, for K = 3, 4, 5 and 8 references."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unlearn_audit.audit._scores import MIN_REFERENCES
from unlearn_audit.audit.verdict import Policy
from unlearn_audit.calibration import rivals
from unlearn_audit.calibration.draws import (
    HONEST,
    Draws,
    Means,
    Shares,
    draw,
    measure,
    ratios_to_all,
    verdict_shares,
    withheld_share,
    wrongly_passed,
)
from unlearn_audit.calibration.pool import KINDS, PoolSize, load_pool
from unlearn_audit.calibration.simulation import EFFECTS, simulate
from unlearn_audit.errors import ConfigurationError

NUM_REFERENCES = (3, 4, 5, 8)
RELATIVE = (0.0, 0.25, 0.5)  # tolerances that are compared
SPREADS = (0.02, 0.15)  # of model effects: about CIFAR-100's and the digits'


@dataclass(frozen=True)
class TestShares:
    """How one test does at one K: shares of draws that some group rejects, honest and not.

    Attributes:
        alone: by kind, with Holm over groups and no tolerance.
        tolerated: by kind, where the lower bound must be above the default tolerance too.
    """

    test: str
    num_references: int
    alone: dict[str, float]
    tolerated: dict[str, float]


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
    verdicts, wrong, strata, withheld, tests = {}, {}, {}, {}, []
    ratios = {kind: ratios_to_all(means, kind, policy.nearest) for kind in kinds}
    for step, k in enumerate(NUM_REFERENCES):
        tell(f"verdicts with {k} references", step, len(NUM_REFERENCES) + 1)
        drawn = {kind: draw(means, kind, k, draws, rng) for kind in kinds}
        for kind, found in drawn.items():
            for relative in RELATIVE:
                verdicts[kind, k, relative] = verdict_shares(found, dataclasses.replace(policy, relative=relative))
            wrong[kind, k] = wrongly_passed(found, ratios[kind], policy)
        honest = drawn[HONEST]
        p_values = rivals.log_ratio_scaled(honest.candidate, honest.references)
        strata[k] = (p_values <= policy.alpha).mean(axis=0)
        withheld[k] = withheld_share(honest, policy) if k > MIN_REFERENCES else 0.0
        tests += _test_shares(drawn, k, policy)
    tell("simulation", len(NUM_REFERENCES), len(NUM_REFERENCES) + 1)
    simulated, simulated_tests = _simulation(policy, draws, rng)
    count = means.num_retrained
    return Calibration(policy, draws, count, verdicts, wrong, strata, withheld, tests, simulated, simulated_tests)


def _simulation(
    policy: Policy, draws: int, rng: np.random.Generator
) -> tuple[dict[tuple[str, float, int], Shares], list[TestShares]]:
    verdicts, tests = {}, []
    for k in NUM_REFERENCES:
        for spread in SPREADS:
            drawn = {effects: simulate(k, spread, effects, draws, rng) for effects in EFFECTS}
            for effects, found in drawn.items():
                verdicts[effects, spread, k] = verdict_shares(found, policy)
        tests += _test_shares(drawn, k, policy)
    return verdicts, tests


def _test_shares(drawn: dict[str, Draws], k: int, policy: Policy) -> list[TestShares]:
    """Compare all tests on the same draws, on the groups that verdicts rest on."""
    alone: dict[str, dict[str, float]] = {name: {} for name in rivals.TESTS}
    tolerated: dict[str, dict[str, float]] = {name: {} for name in rivals.TESTS}
    for kind, found in drawn.items():
        candidate, references = found.verdict_groups(policy.nearest)
        far = rivals.bounds(candidate, references, policy.alpha)[0] > rivals.limits(references, policy)
        for name, test in rivals.TESTS.items():
            rejected = rivals.rejected(test(candidate, references), policy.alpha)
            alone[name][kind] = float(rejected.any(axis=1).mean())
            tolerated[name][kind] = float((rejected & far).any(axis=1).mean())
    return [TestShares(name, k, alone[name], tolerated[name]) for name in rivals.TESTS]
