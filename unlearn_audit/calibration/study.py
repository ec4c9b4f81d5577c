"""How often each answer is given to candidates of known nature: the calibration of the three questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from unlearn_audit.auditing.groups import QUESTIONS, Question
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import Answer, Outcome, answer_questions, overall
from unlearn_audit.calibration.draws import PoolFigures, measured, measured_few, random_audits
from unlearn_audit.calibration.foresight import Foresight, foresights
from unlearn_audit.calibration.pool import HONEST, ORIGINAL, Pool
from unlearn_audit.calibration.single_examples import ExampleCell, example_cells
from unlearn_audit.calibration.withholding import is_withheld
from unlearn_audit.errors import ConfigurationError

NUM_REFERENCES = (3, 4, 5, 8)
FORGET_SIZES = (1, 3, 10, 30)
TOGETHER = 4  # models that are judged as one method
LEAST_DRAWS = 100
SHARING = 50  # random audits that share a draw of a few deleted examples, which differ more than models do
FEWER = 4  # times fewer draws where each judges all references too
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
    """What was found on one pool.

    Attributes:
        pool: its name.
        policy: under which.
        num_retrained: N, how many retrained models it has.
        cells: of single candidates.
        settled: of an honest candidate by all N - 1 others: what no number of references would change.
        withheld: by K, the share of audits with honest references and an honest candidate that give no verdict because
            the references seem not to be alike, with its 95 % interval.
        methods: of four models of each kind, judged as one method.
        small: of small forget sets.
        examples: of single deleted examples.
        foresights: of plans.
    """

    pool: str
    policy: Policy
    num_retrained: int
    cells: tuple[Cell, ...]
    settled: Cell
    withheld: Mapping[int, tuple[float, tuple[float, float]]]
    methods: tuple[Cell, ...]
    small: tuple[SmallCell, ...]
    examples: tuple[ExampleCell, ...]
    foresights: tuple[Foresight, ...]

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
    study = _Study.of(pool, policy or Policy(), draws, seed, progress)
    cells = tuple(study.cell(kind, k) for kind, k in study.asked)
    return Calibration(
        pool.name,
        study.policy,
        pool.num_retrained,
        cells,
        study.cell(HONEST, pool.num_retrained - 1),
        {k: study.withheld(k) for k in study.numbers},
        tuple(study.cell(kind, k, together=TOGETHER) for kind, k in study.asked_together),
        tuple(cell for size in FORGET_SIZES for cell in study.small(size)),
        example_cells(pool, study.numbers, study.rng),
        foresights(pool, study.policy, study.rng),
    )


@dataclass(frozen=True, eq=False)
class _Study:
    """The random audits of one pool, and what is told while they run."""

    pool: Pool
    figures: tuple[PoolFigures, ...]
    policy: Policy
    draws: int
    rng: np.random.Generator
    tell: Callable[[str], None]

    @classmethod
    def of(cls, pool: Pool, policy: Policy, draws: int, seed: int, progress: Progress | None) -> _Study:
        done = count()
        figures = measured(pool, policy.measure)
        numbers = [k for k in NUM_REFERENCES if k < pool.num_retrained]
        total = (2 * len(figures[0].kinds) + 1) * len(numbers) + 1 + len(FORGET_SIZES)

        def tell(what: str) -> None:
            if progress is not None:
                progress(f"{pool.name}: {what}", next(done), total)

        return cls(pool, figures, policy, draws, np.random.default_rng(seed), tell)

    @property
    def numbers(self) -> list[int]:
        """Each K that the pool has models for."""
        return [k for k in NUM_REFERENCES if k < self.pool.num_retrained]

    @property
    def asked(self) -> list[tuple[str, int]]:
        """Each kind of candidate with each K."""
        return [(kind, k) for kind in self.figures[0].kinds for k in self.numbers]

    @property
    def asked_together(self) -> list[tuple[str, int]]:
        """The same for several candidates together, where there are so many of the kind, and other models."""
        enough = [kind for kind, found in self.figures[0].kinds.items() if len(found.levels) >= TOGETHER]
        return [(kind, k) for kind, k in self.asked if kind in enough and k + TOGETHER <= self.pool.num_retrained]

    def cell(self, kind: str, k: int, *, together: int = 1) -> Cell:
        """Judge candidates of one kind, so many together as one method.

        There are fewer draws of several models together, and of another K than the usual ones.
        """
        self.tell(f"{together} x {kind}, K = {k}" if together > 1 else f"{kind}, K = {k}")
        draws = self.draws if together == 1 and k in NUM_REFERENCES else self.draws // FEWER
        models, answers = [], []
        for drawn in random_audits(self.figures, kind, k, draws, self.rng, together=together):
            models.append(int(drawn.models[0]))
            given = answer_questions(drawn.figures, self.policy, advise=False)
            answers.append({answer.question: answer for answer in given})
        by_question = {q: [given[q].outcome for given in answers] for q in QUESTIONS if q in answers[0]}
        return Cell(
            kind,
            k,
            _shares([overall(list(given.values())) for given in answers], models),
            {question: _shares(outcomes, models) for question, outcomes in by_question.items()},
            _ways([answer for given in answers for answer in given.values()], draws),
        )

    def withheld(self, k: int) -> tuple[float, tuple[float, float]]:
        """Return the share of honest audits that are withheld, with its interval."""
        self.tell(f"withheld, K = {k}")
        draws = self.draws // FEWER
        audits = random_audits(self.figures, HONEST, k, draws, self.rng)
        hits = sum(is_withheld(drawn, self.policy) for drawn in audits)
        return hits / draws, wilson(hits, draws)

    def small(self, size: int) -> list[SmallCell]:
        """Ask whether so many of the deleted examples are forgotten; so many audits share a draw of the examples."""
        self.tell(f"{size} deleted")
        rounds = max(1, self.draws // SHARING)
        seeds = self.rng.integers(1 << 31, size=rounds)
        drawn = [measured_few(self.pool, self.figures, size, self.policy.measure, seed=int(seed)) for seed in seeds]
        return [self._small_cell(drawn, kind, size, k) for kind in (HONEST, ORIGINAL) for k in self.numbers]

    def _small_cell(self, drawn: list[tuple[PoolFigures, ...]], kind: str, size: int, k: int) -> SmallCell:
        models, outcomes = [], []
        for few in drawn:
            for audit in random_audits(few, kind, k, self.draws // len(drawn), self.rng):
                models.append(int(audit.models[0]))
                outcomes.append(answer_questions(audit.figures, self.policy, advise=False)[0].outcome)
        return SmallCell(kind, size, k, _shares(outcomes, models))


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
