"""Local teachers: small networks from scratch, and parts learned anew on the original model, the rest of it frozen."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import TrainerCallback

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.methods._copies import fresh
from unlearn_audit.models.creating import create_model
from unlearn_audit.models.loading import classifier
from unlearn_audit.models.preprocessing import Preprocessing
from unlearn_audit.training import TrainingConfig, fit

HEADS = ("linear", "mlp")
RESET = "reset"
HIDDEN = 256  # of the MLP head, as in the paper


def build_teacher(
    name: str, original: nn.Module, examples: ExampleDataset, *, seed: int, **model_args: Any
) -> nn.Module:
    """Build an untrained teacher for the classes of `examples`, initialised from `seed`.

    It takes pixels as the original does, since it is shown the student's batches.
    """
    if name in HEADS:
        return _head_on(original, name, seed)
    if name == RESET:
        return _reset(original, examples, seed)
    prepare = Preprocessing.of(original)
    teacher = create_model(name, examples.images, seed=seed, image_size=prepare.size, **model_args)
    prepare.attach(teacher)
    return teacher


def train_teacher(
    name: str,
    original: nn.Module,
    examples: ExampleDataset,
    support_rows: Tensor,
    config: TrainingConfig,
    *,
    seed: int,
    folder: Path | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    **model_args: Any,
) -> nn.Module:
    """Train a teacher from scratch on the support alone, rows (s,) of the images of `examples`; return it frozen."""
    teacher = build_teacher(name, original, examples, seed=seed, **model_args)
    images = examples.images.select(support_rows.numpy())
    fit(teacher, images, config, seed=seed, output_dir=folder, progress=False, callbacks=callbacks)
    return teacher.to(examples.device).eval().requires_grad_(False)


def _head_on(original: nn.Module, name: str, seed: int) -> nn.Module:
    """Copy the original, freeze it in evaluation mode, and replace its classifier by a fresh head."""
    from transformers import set_seed

    teacher = copy.deepcopy(original).requires_grad_(False)
    old = classifier(teacher)
    set_seed(seed)
    head: nn.Module = nn.Linear(old.in_features, old.out_features)
    if name == "mlp":
        head = nn.Sequential(nn.Linear(old.in_features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, old.out_features))
    path = next(path for path, module in teacher.named_modules() if module is old)
    teacher.set_submodule(path, head)
    teacher.register_forward_pre_hook(_evaluation_mode)
    return teacher


def _reset(original: nn.Module, examples: ExampleDataset, seed: int) -> nn.Module:
    """Copy the original, freeze the first two thirds of its layers in evaluation mode, and make the others anew.

    What single examples left behind lies mostly in the last layers; what the first ones compute, all examples taught.
    """
    teacher = copy.deepcopy(original).to(examples.device).requires_grad_(False)
    layers = [path for path, module in teacher.named_modules() if list(module.parameters(recurse=False))]
    untrained = fresh(original, examples, seed=seed).requires_grad_(True)
    first = len(layers) - max(1, len(layers) // 3)
    for path in layers[first:]:
        teacher.set_submodule(path, untrained.get_submodule(path))
    kept = [teacher.get_submodule(path) for path in layers[:first]]
    teacher.register_forward_pre_hook(lambda module, inputs: _stay_in_evaluation_mode(kept))
    return teacher


def _stay_in_evaluation_mode(modules: list[nn.Module]) -> None:
    for module in modules:
        module.eval()


def _evaluation_mode(teacher: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    # Trainer switches to training mode before each step, which would move the frozen body's BatchNorm statistics.
    for module in teacher.modules():
        module.training = False
