"""CT: every convolution kernel is transposed, and the retain set repairs the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unlearn_audit.errors import MethodError
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods._weights import convolutions
from unlearn_audit.methods.finetune import FineTune

__all__ = ["Transpose"]


@dataclass(eq=False, kw_only=True)
class Transpose(FineTune):
    """CT: height and width of every convolution kernel change places; then cross-entropy on the retain set.

    Kernels of one pixel stay as they are, and so do biases. A kernel that is not square is refused.

    Reference: an entry of the NeurIPS 2023 competition, described by Triantafillou et al. 2024 (arXiv 2406.09073).
    Cadet et al. 2024 (arXiv 2410.01276) rank it among the best two of 18 methods.
    """

    scope: ClassVar[Scope] = Scope(needs="retain", random="yes", partial="yes", whole="yes", cost="E n_r / n")
    training_defaults: ClassVar[Settings] = sgd(
        epochs=3, learning_rate=1e-3, weight_decay=5e-4, batch_size=64, scheduler="cosine"
    )
    search_space: ClassVar[Settings] = space(rates=(1e-3, 1e-1), epochs=(3,))

    def edit(self, model: nn.Module) -> None:
        """Transpose the kernels."""
        kernels = [model.get_parameter(name) for name in convolutions(model)]
        if not any(kernel.shape[-1] > 1 for kernel in kernels):
            raise MethodError("Expected a model with convolutions of more than one pixel, which are transposed.")
        for kernel in kernels:
            if kernel.shape[-1] != kernel.shape[-2]:
                raise MethodError(f"Expected square kernels, got one of {kernel.shape[-2]} by {kernel.shape[-1]}.")
            kernel.copy_(kernel.transpose(-1, -2).clone())
