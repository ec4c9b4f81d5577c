"""What dominates a training step and an audit, and their floors: `python -m tests.benchmarks.profiling`, one thread."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from tests.benchmarks.growth import GROUPS, _made_up
from tests.benchmarks.inputs import images, model
from unlearn_audit.auditing.discrepancy import discrepancies, members_of
from unlearn_audit.data.batches import Augmentation, ExampleDataset
from unlearn_audit.measures import registry
from unlearn_audit.models.preprocessing import Preprocessing
from unlearn_audit.training.config import bfloat16_is_faster

BATCH = 256
TRAINING_FLOP = 3 * 2 * 40.8e6  # of ResNet-20 on 32 x 32 pixels (He et al. 2015), forward and twice that backward
EXAMPLES, CLASSES, MODELS, REFERENCES = 50_000, 100, 8, 5


def main() -> None:
    """Print CPU seconds, floors and the operators that take most."""
    torch.set_num_threads(1)
    network = model().to(memory_format=torch.channels_last).train()
    data = ExampleDataset(images(), Preprocessing.of(network), augmentation=Augmentation.usual(images()))
    batch = data.__getitems__(range(BATCH)).tensors
    dtype = torch.bfloat16 if bfloat16_is_faster() else torch.float32
    print(f"one batch of {BATCH}: made in {least(lambda: data.__getitems__(range(BATCH))):.4f} s")
    print(f"forward and backward: {least(lambda: step(network, batch)):.3f} s in {dtype}")
    print(f"floor, operations over the rate of matmul: {TRAINING_FLOP * BATCH / matmul_rate(dtype):.3f} s")
    print_profile(lambda: step(network, batch))
    models = [_made_up(seed, EXAMPLES, CLASSES) for seed in range(MODELS)]
    group = np.random.default_rng(0).integers(0, GROUPS, EXAMPLES)
    measures = [registry.create(name) for name in registry.names()]

    def audit() -> object:
        return discrepancies(models[:-REFERENCES], models[-REFERENCES:], members_of(group, GROUPS), measures)

    print(f"discrepancies: {least(audit):.3f} s")
    pairs = (MODELS - REFERENCES) * REFERENCES + REFERENCES * (REFERENCES - 1) // 2
    numbers = torch.rand(2_000, CLASSES)
    log, exp = (least(lambda f=f: f(numbers), 50) / numbers.numel() for f in (torch.log, torch.exp))
    print(f"floor, one logarithm a pair and number: {pairs * EXAMPLES * CLASSES * log:.3f} s ({log * 1e9:.2f} ns each)")
    print(f"floor, two exponentials a model and number: {2 * MODELS * EXAMPLES * CLASSES * exp:.3f} s")
    print_profile(audit)


def step(network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> None:
    """Run forward and backward on one batch."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16_is_faster()):
        loss = F.cross_entropy(network(pixel_values=batch["pixel_values"]).logits.float(), batch["labels"])
    loss.backward()


def least(work: Callable[[], object], repeats: int = 4) -> float:
    """Return the least CPU seconds of the repeats."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def matmul_rate(dtype: torch.dtype, size: int = 1024) -> float:
    """Return the operations a second of a square matrix product."""
    square = torch.rand(size, size).to(dtype)
    return 2 * size**3 / least(lambda: square @ square)


def print_profile(work: Callable[[], object]) -> None:
    """Print the operators that take most of the CPU time."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        work()
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=9, max_name_column_width=40))


if __name__ == "__main__":
    main()
