"""Pointwise discrepancies of models from references, and their means by group, in one pass over logits.

Memory holds one chunk of logits of every model, and for each measure a few numbers an example: nothing grows with the
number of classes times the number of examples. The exception is predictions whose rows are in another order than the
first reference's: their logits are held whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs
from unlearn_audit.predictions import Predictions, PredictionSource, matching_rows

T = TypeVar("T")

CHUNK_NUMBERS = 1 << 18  # logits of one model in a chunk: 1 MiB, which the allocator keeps and caches hold
CHUNK_MODELS = 8  # of more models together, smaller chunks, so that caches still hold them
CHUNK_PAIRS = 1 << 22  # discrepancies of all pairs of models in a chunk: 16 MiB


@dataclass(frozen=True, eq=False)
class ExampleScores:
    """What aggregate figures need of one model on n examples, each (n,).

    Attributes:
        top1: predicted class.
        correct: whether that is the label.
        confidence: p(y), in [0, 1].
        entropy: of the prediction, in nats.
        modified_entropy: -(1 - p(y)) log p(y) - sum over other classes of p log(1 - p), in nats (Song and Mittal
            2021, arXiv 2003.10595).
        margin: φ = log p(y) - log(1 - p(y)), in nats.
    """

    top1: np.ndarray
    correct: np.ndarray
    confidence: np.ndarray
    entropy: np.ndarray
    modified_entropy: np.ndarray
    margin: np.ndarray


@dataclass(frozen=True, eq=False)
class Discrepancies:
    """All discrepancies by one measure: M models (candidates and anchors) and K references, G groups of examples.

    Attributes:
        models: (M, K, G) group means of d(u_m, r_k); NaN for an empty group.
        references: (K, K, G) group means of d(r_k, r_l), with r_k in the candidate's place; NaN on the diagonal.
        counts: (G,) examples that count in each group, for the models.
        reference_counts: (K, G) the same for each reference against the others.
        pointwise: (M, n) float32: D(x), the mean over references; NaN where the measure is undefined.
        pointwise_references: (K, n) float32: the same for each reference against the others; NaN for K = 1.
        floor: (n,) float32: F(x), the mean over ordered pairs of references; NaN for K = 1.
    """

    measure: Measure
    models: np.ndarray
    references: np.ndarray
    counts: np.ndarray
    reference_counts: np.ndarray
    pointwise: np.ndarray
    pointwise_references: np.ndarray
    floor: np.ndarray


def discrepancies(
    models: Sequence[PredictionSource],
    references: Sequence[PredictionSource],
    members: np.ndarray,
    measures: Sequence[Measure],
    *,
    chunk: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[list[Discrepancies], list[ExampleScores]]:
    """Compare every model with every reference, and the references with each other.

    Args:
        models: M candidates and anchors; matched to the first reference by example_id.
        references: K >= 1 retrained models.
        members: (n, G) bool, which examples of the first reference belong to each group; groups may overlap.
        measures: which.
        chunk: examples at a time; by default as many as suit the cache: fewer where there are more models.
        progress: called with what is done, how many examples are, and how many there are.

    Returns:
        One `Discrepancies` a measure, and one `ExampleScores` a model (M, then K), both in the order of the first
        reference's examples.

    Raises:
        PredictionsError: where the predictions do not fit together.
    """
    sources = [*models, *references]
    first = references[0]
    rows = [None if source is first else matching_rows(first, source) for source in sources]
    size = chunk or _chunk_size(first.num_classes, len(models), len(references))
    labels = torch.tensor(first.labels)
    groups = torch.from_numpy(np.asarray(members, dtype=bool))
    sums = [_Sums(measure, len(models), len(references), groups.shape[1], len(labels)) for measure in measures]
    scores = [_empty_scores(len(labels)) for _ in sources]
    streams = [_aligned_chunks(s, r, size) for s, r in zip(sources, rows, strict=True)]
    chunks: Iterator[tuple[np.ndarray, ...]] = zip(*streams, strict=True)
    if not all(isinstance(source, Predictions) for source in sources):
        chunks = _ahead(chunks)
    for start, logits in zip(range(0, len(labels), size), chunks, strict=True):
        part = slice(start, start + size)
        outputs = [
            Outputs(torch.from_numpy(np.require(part_logits, requirements="W")).float(), labels[part])
            for part_logits in logits
        ]
        membership = groups[part].to(torch.float64)
        for total in sums:
            total.add(part, outputs[: len(models)], outputs[len(models) :], membership)
        for found, output in zip(scores, outputs, strict=True):
            _fill_scores(found, part, output)
        if progress is not None:
            progress("examples compared", min(start + size, len(labels)), len(labels))
    return [total.result() for total in sums], scores


def example_scores(models: Sequence[PredictionSource]) -> list[ExampleScores]:
    """Return the scores of each model, in the order of the first one's examples, without comparing any.

    Raises:
        PredictionsError: where the predictions do not fit together.
    """
    no_groups = np.zeros((len(models[0].labels), 0), dtype=bool)
    return discrepancies([], models, no_groups, [])[1]


def members_of(group: np.ndarray, num_groups: int) -> np.ndarray:
    """Return (n, G) bool for groups (n,) in [0, G); -1 is a member of none."""
    return np.asarray(group)[:, None] == np.arange(num_groups)


def _chunk_size(num_classes: int, num_models: int, num_references: int) -> int:
    """Return how many examples to compare at a time."""
    together = num_models + num_references
    numbers = CHUNK_NUMBERS * CHUNK_MODELS // max(CHUNK_MODELS, together) // num_classes
    return max(64, min(numbers, CHUNK_PAIRS // (together * num_references)))


def _aligned_chunks(source: PredictionSource, rows: np.ndarray | None, size: int) -> Iterator[np.ndarray]:
    """Yield logits (size, c), the last perhaps fewer, in the order of `rows`."""
    if rows is not None:
        everything = np.concatenate(list(source.logit_chunks(size)))
        for start in range(0, len(rows), size):
            yield everything[rows[start : start + size]]
        return
    pending: list[np.ndarray] = []
    for part in source.logit_chunks(size):
        pending.append(part)
        while sum(map(len, pending)) >= size:
            whole = pending[0] if len(pending) == 1 else np.concatenate(pending)
            yield np.ascontiguousarray(whole[:size])
            pending = [whole[size:]] if len(whole) > size else []
    if pending:
        yield np.ascontiguousarray(np.concatenate(pending))


def _ahead(chunks: Iterator[T]) -> Iterator[T]:
    """Yield the same; a thread reads the next one meanwhile: Arrow and torch both work without Python's lock."""
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(next, chunks, None)
        while (found := following.result()) is not None:
            following = reader.submit(next, chunks, None)
            yield found


def _empty_scores(n: int) -> ExampleScores:
    return ExampleScores(np.empty(n, np.int64), np.empty(n, bool), *(np.empty(n, np.float32) for _ in range(4)))


def _fill_scores(scores: ExampleScores, part: slice, outputs: Outputs) -> None:
    rest = (1 - outputs.probabilities).clamp_min(torch.finfo(torch.float32).tiny).log()
    label = outputs.labels[:, None]
    others = (outputs.probabilities * rest).scatter(1, label, 0).sum(dim=1)
    confidence = outputs.label_log_probability.exp()
    scores.top1[part] = outputs.top1
    scores.correct[part] = outputs.correct
    scores.confidence[part] = confidence
    scores.entropy[part] = -outputs.entropy_terms
    scores.modified_entropy[part] = -(1 - confidence) * outputs.label_log_probability - others
    scores.margin[part] = outputs.margin


@dataclass(eq=False)
class _Sums:
    """Group sums of one measure, chunk after chunk, in float64, and its pointwise values.

    These go into arrays that are there from the start: small pieces kept from each chunk would lie between the chunks'
    large ones, which then could not be given back.
    """

    measure: Measure
    num_models: int
    num_references: int
    num_groups: int
    num_examples: int

    def __post_init__(self) -> None:
        k, n = self.num_references, self.num_examples
        self._models = torch.zeros(self.num_models * k, self.num_groups, dtype=torch.float64)
        self._references = torch.zeros(k * k, self.num_groups, dtype=torch.float64)
        self._model_counts = torch.zeros(self.num_groups, dtype=torch.float64)
        self._reference_counts = torch.zeros(k, self.num_groups, dtype=torch.float64)
        self._pointwise = torch.full((self.num_models, n), torch.nan)
        self._posing = torch.full((k, n), torch.nan)
        self._floor = torch.full((n,), torch.nan)

    def add(self, part: slice, models: list[Outputs], references: list[Outputs], membership: Tensor) -> None:
        """Add the n examples of `part`, whose groups are the columns of `membership` (n, G)."""
        n, k = len(membership), self.num_references
        to_references = torch.stack([self.measure(u, r) for u in models for r in references] or [torch.zeros(n)])
        to_references = to_references[: len(models) * k]
        between = self._between(references, n)
        counted, counted_without = self._defined(references, n)
        self._models += (to_references * counted).double() @ membership
        self._references += (between * counted_without[:, None]).reshape(k * k, n).double() @ membership
        self._model_counts += counted.double() @ membership
        self._reference_counts += counted_without.double() @ membership
        self._remember(part, to_references.view(-1, k, n), between, counted.bool(), counted_without.bool())

    def _between(self, references: list[Outputs], n: int) -> Tensor:
        """Return d(r_k, r_l) as (K, K, n), 0 on the diagonal."""
        k = self.num_references
        between = torch.zeros(k, k, n)
        for i in range(k):
            for j in range(i + 1, k):
                between[i, j] = self.measure(references[i], references[j])
                if self.measure.zero_floor and not self.measure.where_references_agree:
                    between[j, i] = -between[i, j]
                elif self.measure.symmetric:
                    between[j, i] = between[i, j]
                else:
                    between[j, i] = self.measure(references[j], references[i])
        return between

    def _defined(self, references: list[Outputs], n: int) -> tuple[Tensor, Tensor]:
        """Return where the measure counts: (n,) for models, and (K, n) for each reference against the others."""
        k = self.num_references
        if not self.measure.where_references_agree:
            return torch.ones(n), torch.ones(k, n)
        correct = torch.stack([r.correct for r in references]).float()
        total = correct.sum(dim=0)
        without = total - correct  # (K, n): how many of the others predict the label
        agree = ((total == 0) | (total == k)).float()
        return agree, ((without == 0) | (without == k - 1)).float()

    def _remember(
        self, part: slice, to_references: Tensor, between: Tensor, counted: Tensor, counted_without: Tensor
    ) -> None:
        k = self.num_references
        nan = torch.tensor(torch.nan)
        self._pointwise[:, part] = torch.where(counted, to_references.mean(dim=1), nan)
        if k == 1:
            return
        self._posing[:, part] = torch.where(counted_without, between.sum(dim=1) / (k - 1), nan)
        if self.measure.where_references_agree:
            self._floor[part] = torch.where(counted, torch.zeros(()), nan)
        else:
            self._floor[part] = between.sum(dim=(0, 1)) / (k * (k - 1))

    def result(self) -> Discrepancies:
        """Return the group means."""
        k, groups = self.num_references, self.num_groups
        models = self._models / self._model_counts
        references = self._references.view(k, k, groups) / self._reference_counts[:, None]
        references[torch.arange(k), torch.arange(k)] = torch.nan
        return Discrepancies(
            measure=self.measure,
            models=models.view(self.num_models, k, groups).numpy(),
            references=references.numpy(),
            counts=self._model_counts.numpy().astype(np.int64),
            reference_counts=self._reference_counts.numpy().astype(np.int64),
            pointwise=self._pointwise.numpy(),
            pointwise_references=self._posing.numpy(),
            floor=self._floor.numpy(),
        )
