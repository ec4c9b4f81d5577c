"""Which of several processes this is, and its device: Accelerate's state, made in one way everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import PartialState


def process_state() -> PartialState:
    """Return Accelerate's state of this process, with gloo between CPU processes.

    Made without `cpu=True` on a machine without accelerator, the state would say that there is one process, until the
    first `TrainingArguments` makes it anew.
    """
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.accelerator.is_available())
