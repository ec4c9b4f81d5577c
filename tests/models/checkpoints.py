"""Tiny models of every kind that people hold, as they would be saved: made here, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import timm
import torch
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    Dinov2Config,
    Dinov2Model,
    PreTrainedModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

SIZE = 8
SHAPE = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
VIT = {**SHAPE, "image_size": SIZE, "patch_size": 4, "intermediate_size": 16}
DINO = {**SHAPE, "image_size": SIZE, "patch_size": 4, "mlp_ratio": 2}
# By model type: small configurations, with dropout, stochastic depth and BatchNorm among them.
ARGUMENTS = {
    "vit": {**VIT, "hidden_dropout_prob": 0.1},
    "convnextv2": {"depths": [1, 1], "hidden_sizes": [8, 16], "num_stages": 2, "patch_size": 2, "drop_path_rate": 0.1},
    "swinv2": {
        "image_size": SIZE,
        "patch_size": 2,
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "window_size": 2,
    },
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    "mobilenet_v2": {"image_size": 32, "depth_multiplier": 0.1, "depth_divisible_by": 4, "min_depth": 4},
    "dinov2": {**DINO, "drop_path_rate": 0.1},
}


def save(model: PreTrainedModel, folder: Path) -> Path:
    size = {"height": SIZE, "width": SIZE}
    model.save_pretrained(folder)
    ViTImageProcessor(size=size, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4]).save_pretrained(folder)
    return folder


def with_classes(kind: str, folder: Path, *, classes: int = 7) -> Path:
    """A classifier of `classes` other classes, as it lies on the Hub."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, num_labels=classes, **ARGUMENTS[kind])
    return save(AutoModelForImageClassification.from_config(config), folder)


def timm_checkpoint(folder: Path) -> Path:
    """What timm itself saves: tensors without a prefix, and a configuration without a model type."""
    torch.manual_seed(0)
    model = timm.create_model("test_vit", num_classes=7, img_size=SIZE, patch_size=4, pretrained=False)
    model.pretrained_cfg = {**model.pretrained_cfg, "input_size": (3, SIZE, SIZE), "crop_pct": 1.0}
    timm.models.save_for_hf(model, folder, safe_serialization=True)
    return folder


def vit_backbone(folder: Path) -> Path:
    """A backbone with a pooler and no head, as of self-supervised training."""
    torch.manual_seed(0)
    return save(ViTModel(ViTConfig(**VIT)), folder)


def dino_backbone(folder: Path) -> Path:
    torch.manual_seed(0)
    return save(Dinov2Model(Dinov2Config(**DINO)), folder)


CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    **{kind: lambda folder, kind=kind: with_classes(kind, folder) for kind in ARGUMENTS},
    "timm": timm_checkpoint,
    "vit backbone": vit_backbone,
    "dinov2 backbone": dino_backbone,
}
