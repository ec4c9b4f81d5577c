"""Plans of steps: what each micro-batch of each process holds, and what becomes of short and uneven epochs."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_forget, tiny_images
from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.steps import PlannedDataset, Step, paired, shuffled
from unlearn_audit.errors import DataError

IMAGES = tiny_images(40)
EXAMPLES = ExampleDataset(IMAGES, lambda pixels: pixels.float(), is_forget=tiny_forget(IMAGES).mask(IMAGES))
FORGET, RETAIN = EXAMPLES.forget_rows, EXAMPLES.retain_rows  # 5 and 35


def by_turns(epoch: int, size: int):
    """The forget set in the first epoch alone, then the retain set."""
    if epoch == 0:
        yield from shuffled("forget", FORGET, size, seed=1, epoch=epoch)
    yield from shuffled("retain", RETAIN, size, seed=1, epoch=epoch)


def both(epoch: int, size: int):
    return paired("both", FORGET, RETAIN, (3, size - 3), seed=1, epoch=epoch)


def laid_out(plan, micro_batch: int, parts: int, epochs: float = 2, **limits) -> PlannedDataset:
    planned = PlannedDataset(EXAMPLES, plan)
    planned.lay_out(micro_batch=micro_batch, parts=parts, epochs=epochs, **limits)
    return planned


def micro_batches(planned: PlannedDataset, size: int, epochs: int) -> list[list[int]]:
    """What a Trainer with batches of `size` that samples in sequence would be given, in all."""
    found = []
    for epoch in range(epochs):
        planned.set_epoch(epoch)
        starts = range(0, len(planned), size)
        found += [planned.__getitems__(list(range(s, s + size))).tensors["index"].tolist() for s in starts]
    return found


@pytest.mark.parametrize("plan", [by_turns, both])
@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_hold_together_what_the_step_holds(plan, parts: int) -> None:
    whole, shared = laid_out(plan, 8, 1), laid_out(plan, 8 // parts, parts)
    steps = micro_batches(whole, 8, 2)
    shares = micro_batches(shared, 8 // parts, 2)
    assert len(shares) == parts * len(steps)
    for number, step in enumerate(steps):
        mine = shares[number * parts : (number + 1) * parts]
        together = [row for share in mine for row in share]
        assert set(together) == set(step) and len(together) == max(len(step), parts)
        for part in whole.step(number).parts:
            counts = [len(set(share) & set(part.tolist())) for share in mine]
            assert max(counts) - min(counts) <= 1  # each micro-batch has its share of each part


def test_epochs_of_the_trainer_are_equal_and_the_rest_is_of_the_last_phase() -> None:
    planned = laid_out(by_turns, 10, 1)  # 1 + 4 steps, then 4
    phases = [planned.step(number).phase for number in range(10)]
    assert phases == ["forget", *["retain"] * 9]
    assert [planned.step(number).epoch for number in range(10)] == [0] * 5 + [1] * 5
    assert len(planned) == 5 * 10
    rows = micro_batches(planned, 10, 2)
    assert sorted(rows[0]) == FORGET.tolist()
    for epoch in (rows[1:5], rows[5:9]):
        assert sorted(row for step in epoch for row in step) == RETAIN.tolist()
    assert rows[9] == rows[5] and rows[1] != rows[5]
    assert [planned.seen(steps, 10, 0.0) for steps in (0, 5, 10)] == [0, 40, 40 + 35 + 10]


def test_a_step_never_mixes_phases_and_every_micro_batch_has_a_row() -> None:
    planned = laid_out(by_turns, 4, 4)  # 16 a step, 5 forget examples, 35 = 16 + 16 + 3 retain examples
    shares = micro_batches(planned, 4, 2)
    assert [len(share) for share in shares[:4]] == [2, 1, 1, 1]
    assert sorted(row for share in shares[:4] for row in share) == FORGET.tolist()
    last = shares[12:16]
    assert [len(share) for share in last] == [1, 1, 1, 1]
    assert set(RETAIN.tolist()) >= {row for share in last for row in share}


def test_paired_steps_go_round_the_shorter_part() -> None:
    steps = list(both(0, 8))
    assert [len(step.parts[1]) for step in steps] == [5] * 7
    assert sorted(torch.cat([step.parts[1] for step in steps]).tolist()) == RETAIN.tolist()
    stream = torch.cat([step.parts[0] for step in steps])
    assert len(stream) == 21
    for start in range(0, 20, 5):
        assert sorted(stream[start : start + 5].tolist()) == FORGET.tolist()
    assert not torch.equal(stream[:5], stream[5:10])


def test_a_limit_of_steps_counts_epochs_of_the_method() -> None:
    planned = laid_out(by_turns, 10, 1, epochs=3, max_steps=7)
    assert len(planned) == 70
    assert [planned.step(number).epoch for number in range(7)] == [0] * 5 + [1] * 2


def test_every_step_has_its_own_draws() -> None:
    from unlearn_audit.data.batches import Augmentation

    drawn = ExampleDataset(IMAGES, lambda pixels: pixels.float(), augmentation=Augmentation(padding=2, flip=False))
    planned = PlannedDataset(drawn, lambda epoch, size: iter([Step("same", (torch.arange(20),))] * 2))
    planned.lay_out(micro_batch=20, parts=1, epochs=1)
    first, second = (planned.__getitems__(list(range(s, s + 20))).tensors["pixel_values"] for s in (0, 20))
    assert not torch.equal(first, second)


def test_what_is_not_laid_out_or_empty_is_told() -> None:
    with pytest.raises(DataError, match=r"callbacks=\[method\]"):
        PlannedDataset(EXAMPLES, by_turns)[0]
    with pytest.raises(DataError, match="at least one step"):
        laid_out(lambda epoch, size: iter(()), 4, 1)
