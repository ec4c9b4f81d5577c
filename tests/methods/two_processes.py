"""Run in a test by two processes that torchrun could have started: unlearn with each method, predict, write both."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from tests.methods.small import SMALL
from tests.tiny import tiny_forget, tiny_images, tiny_resnet, tiny_vit
from unlearn_audit.methods import registry
from unlearn_audit.models import predict
from unlearn_audit.processes import process_state
from unlearn_audit.training import TrainingConfig, fit, unlearn

CONFIG = TrainingConfig(epochs=2, learning_rate=0.003, batch_size=8, precision="float32", checkpoints=0)
FAST = dataclasses.replace(CONFIG, flip="alternating", label_smoothing=0.2, batchnorm_bias_rate=8.0)
METHODS = {
    **{name: SMALL.get(name, {}) for name in registry.names()},
    "gradient_ascent": {"retain_share": 1.0},
    "random_labels": {"retain_share": 1.0, "order": "forget_first"},
    "ssd": {"selection": 1.5, "group": 8},
    # Accelerate repeats examples where the last batch does not fill every process.
    "anchored_local_distillation": {**SMALL["anchored_local_distillation"], "retain_share": 1.0},
}


def still(model: nn.Module) -> nn.Module:
    """Return a model whose BatchNorm keeps its statistics, which each process would take of its own examples."""

    def keep(module: nn.Module, inputs: object) -> None:
        for each in module.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.eval()

    model.register_forward_pre_hook(keep)
    return model


def run(folder: Path) -> None:
    """Write one file a method, one for a retrained model, and predictions."""
    images = tiny_images()
    forget = tiny_forget(images)
    found = {}
    for name, options in METHODS.items():
        method = registry.load(name)(**{**options, "freeze_batchnorm": True})
        found[name] = unlearn(tiny_resnet(images), images, forget, method, CONFIG, progress=False)
    found["retrained"] = fit(tiny_vit(images), images, CONFIG, seed=1, forget=tiny_forget(images), progress=False)
    found["retrained_fast"] = fit(still(tiny_resnet(images)), images, FAST, seed=1, forget=forget, progress=False)
    trained, untrained = (
        predict(found["retrained"].model, images, batch_size=10),
        predict(tiny_resnet(images), images, batch_size=10),
    )
    state = process_state()
    (folder / f"world-{state.process_index}").write_text(str(state.num_processes))
    if state.is_main_process:
        for name, training in found.items():
            save_file(
                {k: v.contiguous() for k, v in training.model.state_dict().items()}, folder / f"{name}.safetensors"
            )
        (folder / "examples").write_text(str({name: training.examples for name, training in found.items()}))
        trained.save(folder / "trained.parquet")
        untrained.save(folder / "untrained.parquet")


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    run(Path(sys.argv[1]))
