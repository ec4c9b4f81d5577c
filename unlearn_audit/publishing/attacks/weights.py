"""The weights alone: a model is less sure of examples that it did not keep."""

from __future__ import annotations

from collections.abc import Iterator

from unlearn_audit.publishing.attacks._exposure import Exposure, Target, scored

__all__ = ["weights"]


def weights(target: Target) -> Iterator[Exposure]:
    """Name the examples of which the published model is least sure: no honest model of the retained data hides them."""
    yield scored(target, "weights", "The model itself", -target.confidence[target.candidate], "none")
