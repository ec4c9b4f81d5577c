"""Steps of different kinds: which examples each optimizer step of a run goes through, planned before it starts.

A method whose steps differ (ascent on forget examples, then descent on retain examples) yields them from `steps`. The
plan lists the steps of the whole run, and deals the examples of each to micro-batches and processes in equal parts, so
that accumulation, several processes and a resumed run go through the same steps as one process in one go.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unlearn_audit.data.batches import Batch, ExampleDataset
from unlearn_audit.data.randomness import permutation


@dataclass(frozen=True, eq=False)
class Step:
    """The examples of one optimizer step.

    Attributes:
        parts: rows (m,) of the images, in parts (forget, retain, …) of which every micro-batch holds its share.
        phase: number of the kind of step; the loss finds it in the batch's column `phase` (n,).
    """

    parts: tuple[Tensor, ...]
    phase: int = 0

    def share(self, part: int, parts: int) -> Tensor:
        """Return the rows of micro-batch number `part` of `parts`; at least one row, or it would have no loss."""
        rows = torch.cat([rows.tensor_split(parts)[part] for rows in self.parts])
        return rows if len(rows) else self.parts[0][:1]

    def __len__(self) -> int:
        return sum(map(len, self.parts))


def shuffled(rows: Tensor, size: int, *, seed: int, epoch: int) -> Iterator[Tensor]:
    """Yield all rows (m,) in a random order, `size` at a time; the last may be fewer."""
    yield from rows[permutation(len(rows), seed=seed, epoch=epoch)].split(size)


def cycled(rows: Tensor, size: int, *, seed: int, epoch: int) -> Iterator[Tensor]:
    """Yield `size` rows (m,) at a time, or all where there are fewer, without end, in a new random order each lap."""
    size = min(size, len(rows))
    for lap in itertools.count():
        order = rows[permutation(len(rows), seed=seed, epoch=(epoch << 10) + lap)]
        yield from (part for part in order.split(size) if len(part) == size)


Planner = Callable[[ExampleDataset, int, int], Iterator[Step]]
"""Yields the steps of an epoch: (all training examples, number of the epoch, examples a step)."""


class PlannedExamples(ExampleDataset):
    """Examples in the order of a plan, for a Trainer that samples in sequence.

    Its length is not known before `plan` is called, which a method does once the Trainer is built.
    """

    @classmethod
    def of(cls, examples: ExampleDataset) -> PlannedExamples:
        """Take the images, the marks and the augmentation of `examples`."""
        planned = object.__new__(cls)
        planned.__dict__.update(examples.__dict__)
        planned._steps, planned._per_epoch, planned._size, planned._parts = (), 1, 1, 1
        return planned

    def plan(self, steps: Planner, *, epochs: int, micro_batch: int, micro_batches: int) -> None:
        """List the steps of a whole run.

        Args:
            steps: yields those of an epoch.
            epochs: of the method, and of the Trainer; each of the Trainer's has the same number of steps.
            micro_batch: examples a forward pass.
            micro_batches: forward passes a step, over all processes.
        """
        self._size, self._parts = micro_batch * micro_batches, micro_batches
        listed = [(step, epoch) for epoch in range(epochs) for step in steps(self, epoch, self._size)]
        self._per_epoch = math.ceil(len(listed) / epochs)
        again = [(step, epoch) for step, epoch in listed if step.phase == listed[-1][0].phase]
        missing = self._per_epoch * epochs - len(listed)
        self._steps = (*listed, *itertools.islice(itertools.cycle(again), missing))

    def __len__(self) -> int:
        return self._per_epoch * self._size

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        number, place = divmod(positions[0], self._size)
        step, epoch = self._steps[self.epoch * self._per_epoch + number]
        rows = step.share(place * self._parts // self._size, self._parts)
        tensors = self.at(epoch).batch(rows)
        return Batch({**tensors, "phase": torch.full((len(rows),), step.phase, device=self.device)})

    def seen(self, steps: int, batch: int, epochs: float) -> int:
        """Return how many examples went through the first `steps` optimizer steps."""
        return sum(len(step) for step, _ in self._steps[:steps])
