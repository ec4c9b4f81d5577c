"""Training settings of methods: what their papers trained with, and what to try where they are tuned."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Settings = Mapping[str, Any]

NO_TRAINING: Settings = MappingProxyType({"epochs": 0})
"""Of a method that only edits weights."""


def sgd(*, epochs: float, learning_rate: float, **others: Any) -> Settings:
    """Return settings of stochastic gradient descent; by default with momentum of 0.9, in batches of 256, constant."""
    usual = {"momentum": 0.9, "nesterov": False, "weight_decay": 0.0, "batch_size": 256, "scheduler": "constant"}
    return MappingProxyType({"epochs": epochs, "optimizer": "sgd", "learning_rate": learning_rate, **usual, **others})


def adamw(*, epochs: float, learning_rate: float, **others: Any) -> Settings:
    """Return settings of AdamW; by default without weight decay, which is Adam, in batches of 256, constant."""
    usual = {"weight_decay": 0.0, "batch_size": 256, "scheduler": "constant"}
    return MappingProxyType({"epochs": epochs, "optimizer": "adamw", "learning_rate": learning_rate, **usual, **others})


def space(*, rates: tuple[float, float] | None = None, epochs: tuple[float, ...] = (), **options: Any) -> Settings:
    """Return what to try where a method is tuned: a range of rates, numbers of epochs, values of options."""
    found = {"learning_rate": rates, "epochs": epochs, "options": options}
    return MappingProxyType({name: value for name, value in found.items() if value})
