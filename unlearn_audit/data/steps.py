"""Trainings that are planned step by step: which examples each optimizer step sees, and what it does with them.

A `Trainer` shuffles one data set. Methods that alternate between kinds of steps, or that pair forget with retain
examples, list their steps instead; a `PlannedDataset` hands them to a Trainer that samples in sequence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count, islice

import torch
from torch import Tensor

from unlearn_audit.data.batches import Batch, ExampleDataset
from unlearn_audit.data.randomness import permutation
from unlearn_audit.errors import DataError


@dataclass(frozen=True)
class Step:
    """One optimizer step, over all processes and accumulation steps together.

    Attributes:
        phase: the name of what is done, as the method calls it.
        parts: rows (m,) of the images, a tensor a part, such as forget and retain examples. Every micro-batch of every
            process holds its share of each part.
        epoch: of the method, from 0; the plan fills it in.
    """

    phase: str
    parts: tuple[Tensor, ...]
    epoch: int = 0

    @property
    def rows(self) -> Tensor:
        """All rows (n,), part after part."""
        return torch.cat(self.parts)


Plan = Callable[[int, int], Iterator[Step]]
"""Gives the steps of an epoch of the method; the second number is how many examples fill a step."""


def shuffled(phase: str, rows: Tensor, size: int, *, seed: int, epoch: int) -> Iterator[Step]:
    """Yield steps of one part: one shuffled pass over the rows (m,), `size` a step; the last may hold fewer."""
    for part in rows[permutation(len(rows), seed=seed, epoch=epoch)].split(size):
        if len(part):
            yield Step(phase, (part,))


def paired(
    phase: str, cycled: Tensor, passed: Tensor, sizes: tuple[int, int], *, seed: int, epoch: int
) -> Iterator[Step]:
    """Yield steps of two parts: one shuffled pass over `passed`, with rows of `cycled`, over and over shuffled anew.

    Args:
        phase: of each step.
        cycled: (m,) rows of the first part, at least one.
        passed: (n,) rows of the second part, once each; the last step may hold fewer of them.
        sizes: how many rows a step takes of each.
        seed: of the shuffling.
        epoch: likewise.
    """
    steps = math.ceil(len(passed) / sizes[1])
    passes = math.ceil(steps * sizes[0] / len(cycled))
    orders = (permutation(len(cycled), seed=seed, epoch=epoch * passes + number) for number in range(passes))
    stream = torch.cat([cycled[order] for order in orders]) if passes else cycled
    for number, step in enumerate(shuffled(phase, passed, sizes[1], seed=seed, epoch=epoch)):
        yield replace(step, parts=(stream[number * sizes[0] :][: sizes[0]], *step.parts))


class PlannedDataset(ExampleDataset):
    """Examples in the batches of a plan, for a Trainer that samples in sequence.

    It is laid out when the Trainer's arguments are known. All of the Trainer's epochs then have the same number of
    steps, so that its schedule and its resuming are exact, whatever the length of the method's own epochs. Each step
    has its own draws for the augmentation.
    """

    def __init__(self, examples: ExampleDataset, plan: Plan):
        self.__dict__.update(examples.__dict__)
        self._plan = plan
        self._steps: list[Step] = []
        self._seen: list[int] = []

    def lay_out(self, *, micro_batch: int, parts: int, epochs: float, max_steps: int = -1) -> None:
        """List the steps of the whole run.

        Args:
            micro_batch: examples that a process takes in one forward pass.
            parts: micro-batches to a step: processes times accumulation steps.
            epochs: of the Trainer and of the method.
            max_steps: where positive, the run has so many steps, whatever the epochs.
        """
        self._micro_batch, self.parts = micro_batch, parts
        rounds = max(1, math.ceil(epochs))
        if max_steps > 0:
            rounds, steps = 1, list(islice(self._epochs(count()), max_steps))
        else:
            steps = list(self._epochs(range(rounds)))
        if not steps:
            raise DataError("Expected a plan of at least one step, got none: the method has no examples to train on.")
        last = [step for step in steps if step.phase == steps[-1].phase and step.epoch == steps[-1].epoch]
        steps += [last[number % len(last)] for number in range(-len(steps) % rounds)]
        self._steps = [self._filled(step) for step in steps]
        self._steps_an_epoch = len(steps) // rounds
        self._seen = [0, *accumulate(len(step.rows) for step in self._steps)]

    def step(self, number: int) -> Step:
        """Return the step of this number, from 0."""
        return self._steps[number]

    def seen(self, steps: int, batch: int, epochs: float) -> int:
        """Return how many examples the first `steps` steps hold together, whatever the batch."""
        return self._seen[steps]

    def __len__(self) -> int:
        if not self._steps:  # Trainer asks before it tells a callback its arguments
            return len(self.rows)
        return self._steps_an_epoch * self.parts * self._micro_batch

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        if not self._steps:
            raise DataError("Expected Trainer(callbacks=[method]) with the method that prepared these examples.")
        number, part = divmod(int(positions[0]) // self._micro_batch, self.parts)
        number += self.epoch * self._steps_an_epoch
        return Batch(self.batch(self._steps[number].rows[part :: self.parts], draws=number))

    def _epochs(self, epochs: Iterator[int] | range) -> Iterator[Step]:
        for epoch in epochs:
            steps = [replace(step, epoch=epoch) for step in self._plan(epoch, self._micro_batch * self.parts)]
            if not steps:
                return
            yield from steps

    def _filled(self, step: Step) -> Step:
        """Give a step that has fewer rows than there are micro-batches enough of them, by repeating the last part."""
        missing = self.parts - len(step.rows)
        if missing <= 0:
            return step
        *others, last = step.parts
        return replace(step, parts=(*others, last.repeat(1 + math.ceil(missing / len(last)))[: len(last) + missing]))
