"""How often each answer is given to candidates of known nature: the calibration of the three questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unlearn_audit.auditing.groups import QUESTIONS, Question
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import Answer, Outcome, answer_questions, overall
from unlearn_audit.calibration.draws import PoolFigures, measured, random_audits
from unlearn_audit.calibration.pool import HONEST, Pool
from unlearn_audit.errors import ConfigurationError

NUM_REFERENCES = (3, 4, 5, 8)
FORGET_SIZES = (1, 3, 10, 30)
LEAST_DRAWS = 100
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Shares:
    """What became of many random audits, as shares of all.

    Attributes:
        draws: how many.
        failed: share.
        passed: share; the rest is not settled.
        failed_interval: 95 % interval of `failed` for this pool (Wilson).
        passed_interval: of `passed`.
        failed_over_models: 95 % interval if the candidates were drawn anew too, from the spread between candidates.
    """

    draws: int
    failed: float
    passed: float
    failed_interval: tuple[float, float]
    passed_interval: tuple[float, float]
    failed_over_models: tuple[float, float]


@dataclass(frozen=True)
class Cell:
    """One kind of candidate with K references: shares overall and by question, and how it failed."""

    kind: str
    num_references: int
    overall: Shares
    questions: Mapping[Question, Shares]
    ways: Mapping[str, float]


@dataclass(frozen=True)
class SmallCell:
    """The question whether so many deleted examples are forgotten, asked of one kind of candidate."""

    kind: str
    size: int
    num_references: int
    forgotten: Shares


@dataclass(frozen=True)
class Calibration:
    """What was found on one pool."""

    pool: str
    policy: Policy
    num_retrained: int
    cells: tuple[Cell, ...]
    small: tuple[SmallCell, ...]

    @property
    def holds(self) -> bool:
        """Whether honest candidates fail in at most a share alpha of audits at every K, up to the interval's width."""
        honest = [cell.overall for cell in self.cells if cell.kind == HONEST]
        return all(shares.failed_interval[0] <= self.policy.alpha for shares in honest)

    def cell(self, kind: str, k: int) -> Cell:
        """Return the cell of a kind of candidate with K references."""
        return next(c for c in self.cells if (c.kind, c.num_references) == (kind, k))


def calibrate(
    pool: Pool, *, policy: Policy | None = None, draws: int = 2000, seed: int = 0, progress: Progress | None = None
) -> Calibration:
    """Draw random audits from a pool and give them their answers.

    Args:
        pool: of models of known nature.
        policy: under which; the default one if None.
        draws: a cell.
        seed: of the draws.
        progress: called with what is done, how many cells are, and how many there are.

    Raises:
        ConfigurationError: for fewer than 100 draws.
    """
    if draws < LEAST_DRAWS:
        raise ConfigurationError(f"Expected at least {LEAST_DRAWS} draws a cell, got {draws}.")
    policy = policy or Policy()
    tell = progress or (lambda what, done, total: None)
    numbers = [k for k in NUM_REFERENCES if k < pool.num_retrained]
    figures = measured(pool, policy.measure)
    kinds = list(figures[0].kinds)
    rng = np.random.default_rng(seed)
    cells: list[Cell] = []
    for kind in kinds:
        for k in numbers:
            tell(f"{pool.name}: {kind}, K = {k}", len(cells), len(kinds) * len(numbers))
            cells.append(_cell(figures, kind, k, draws, policy, rng))
    return Calibration(pool.name, policy, pool.num_retrained, tuple(cells), tuple(_small(pool, policy, draws, rng)))


def _cell(
    figures: tuple[PoolFigures, ...], kind: str, k: int, draws: int, policy: Policy, rng: np.random.Generator
) -> Cell:
    models, answers = [], []
    for drawn in random_audits(figures, kind, k, draws, rng):
        models.append(drawn.model)
        answers.append({answer.question: answer for answer in answer_questions(drawn.figures, policy, advise=False)})
    by_question = {q: [given[q].outcome for given in answers] for q in QUESTIONS if q in answers[0]}
    return Cell(
        kind,
        k,
        _shares([overall(list(given.values())) for given in answers], models),
        {question: _shares(outcomes, models) for question, outcomes in by_question.items()},
        _ways([answer for given in answers for answer in given.values()], draws),
    )


def _small(pool: Pool, policy: Policy, draws: int, rng: np.random.Generator) -> list[SmallCell]:
    """Ask whether 1, 3, 10 and 30 of the deleted examples are forgotten; 200 audits share a draw of the examples."""
    found = []
    for size in FORGET_SIZES:
        rounds = max(1, draws // 200)
        drawn = [
            measured(pool, policy.measure, forget_size=size, seed=int(rng.integers(1 << 31))) for _ in range(rounds)
        ]
        for kind in (HONEST, "original"):
            for k in (k for k in NUM_REFERENCES if k < pool.num_retrained):
                models, outcomes = [], []
                for figures in drawn:
                    for audit in random_audits(figures, kind, k, draws // rounds, rng):
                        models.append(audit.model)
                        outcomes.append(answer_questions(audit.figures, policy, advise=False)[0].outcome)
                found.append(SmallCell(kind, size, k, _shares(outcomes, models)))
    return found


def _ways(answers: Sequence[Answer], draws: int) -> dict[str, float]:
    failed = [answer.how for answer in answers if answer.outcome == "fail"]
    return {how: failed.count(how) / draws for how in sorted(set(failed))}


def _shares(outcomes: Sequence[Outcome], models: Sequence[int]) -> Shares:
    failed = np.array([outcome == "fail" for outcome in outcomes])
    passed = np.array([outcome == "pass" for outcome in outcomes])
    index = np.asarray(models)
    each = np.array([failed[index == model].mean() for model in np.unique(index)])
    width = 1.96 * float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else 0.0
    share = float(failed.mean())
    return Shares(
        len(failed),
        share,
        float(passed.mean()),
        wilson(int(failed.sum()), len(failed)),
        wilson(int(passed.sum()), len(passed)),
        (max(0.0, share - width), min(1.0, share + width)),
    )


def wilson(hits: int, draws: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (Wilson 1927)."""
    z = 1.959964
    share = hits / draws
    centre = share + z**2 / (2 * draws)
    width = z * np.sqrt(share * (1 - share) / draws + z**2 / (4 * draws**2))
    scale = 1 + z**2 / draws
    return max(0.0, float((centre - width) / scale)), min(1.0, float((centre + width) / scale))
