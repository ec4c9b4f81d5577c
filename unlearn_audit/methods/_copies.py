"""Copies of a model that a method learns from, which never change: the original, and one that knows nothing."""

from __future__ import annotations

import copy

import torch
from torch import nn
from transformers import PreTrainedModel

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.models.prediction import evaluation_mode


def frozen(model: nn.Module, examples: ExampleDataset) -> nn.Module:
    """Return a copy in evaluation mode, without gradients, on the examples' device."""
    with evaluation_mode(model):
        return copy.deepcopy(model).to(examples.device).requires_grad_(False)


def fresh(model: nn.Module, examples: ExampleDataset, *, seed: int) -> nn.Module:
    """Return an untrained model of the same configuration, frozen; the caller's random numbers stay as they were.

    Raises:
        MethodError: for a model that is none of transformers, whose configuration is not known.
    """
    if not isinstance(model, PreTrainedModel):
        raise MethodError(
            f"Expected a model of transformers, to build an untrained one of, got {type(model).__name__}."
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        untrained = type(model)(copy.deepcopy(model.config))
    return frozen(untrained.eval(), examples)
