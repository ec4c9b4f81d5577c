"""SalUn's weight mask (Fan et al. 2024, arXiv 2310.12508): move only the weights that matter to the forget set."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.methods._importance import gradients, mean_over_groups, summed_cross_entropy

BATCH = 256


def saliency_mask(model: nn.Module, examples: ExampleDataset, share: float) -> dict[str, Tensor]:
    """Return for each parameter which of its weights may move (bool, of its shape).

    These are, over all parameters together, the `share` of weights with the largest absolute gradient of the summed
    cross-entropy on the forget set, in evaluation mode and without augmentation. At ties at the edge more may move.
    """
    gradients = _forget_gradient(model, examples)
    magnitude = torch.cat([g.abs().flatten() for g in gradients.values()])
    count = max(1, round(share * len(magnitude)))
    edge = magnitude.kthvalue(len(magnitude) - count + 1).values
    return {name: g.abs() >= edge for name, g in gradients.items()}


def _forget_gradient(model: nn.Module, examples: ExampleDataset) -> dict[str, Tensor]:
    groups = gradients(model, examples, examples.forget_rows, summed_cross_entropy, group=BATCH)
    return mean_over_groups(groups, lambda gradient: gradient)


class WeightMask:
    """Holds the weights outside the mask bit for bit, against gradients, momentum and weight decay."""

    def __init__(self, mask: dict[str, Tensor]):
        self.mask = mask
        self._parameters: dict[str, nn.Parameter] = {}
        self._handles: list = []
        self._saved: dict[str, Tensor] = {}

    def attach(self, model: nn.Module) -> None:
        """Zero the gradients of frozen weights before they are reduced, clipped or accumulated."""
        self.detach()
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.mask = {name: self.mask[name].to(p.device) for name, p in self._parameters.items()}
        for name, parameter in self._parameters.items():
            self._handles.append(parameter.register_hook(lambda gradient, m=self.mask[name]: gradient * m))

    def before_step(self) -> None:
        """Remember all weights."""
        self._saved = {name: p.detach().clone() for name, p in self._parameters.items()}

    @torch.no_grad()
    def after_step(self) -> None:
        """Put frozen weights back."""
        for name, parameter in self._parameters.items():
            parameter.copy_(torch.where(self.mask[name], parameter, self._saved[name]))
        self._saved = {}

    def detach(self) -> None:
        """Take the gradient hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
