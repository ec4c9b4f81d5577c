"""Boundary Expand: forget examples are taught a class of their own, which is then taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.errors import MethodError
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods.base import UnlearningCallback, _check, is_forget
from unlearn_audit.models.loading import classifier

__all__ = ["BoundaryExpand"]


@dataclass(eq=False, kw_only=True)
class BoundaryExpand(UnlearningCallback):
    """Boundary Expand: cross-entropy of forget examples to one class more, whose output is cut off at the end.

    The classifier gets a row more, with the usual random weights of a linear layer, when the Trainer is built; its
    other rows stay, and train. Retain examples (`retain_share`; theirs uses none) learn their labels. Made for whole
    classes: what a model retrained without some examples of a class says of them is that class, mostly.

    Reference: Chen et al. 2023 (arXiv 2303.11570).
    """

    scope: ClassVar[Scope] = Scope(needs="forget", random="no", partial="no", whole="yes", cost="E n_f / n")
    training_defaults: ClassVar[Settings] = sgd(epochs=10, learning_rate=1e-4, batch_size=64)
    search_space: ClassVar[Settings] = space(rates=(1e-5, 1e-1), epochs=(1, 3, 10))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.saliency_share is None, self, "saliency_share", "None: a mask has no place for the class more")
        self._head = ""

    def on_init_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Widen the classifier, before there is an optimizer and before a checkpoint is read."""
        head = classifier(model)
        if not head.weight.requires_grad:
            raise MethodError("Expected a classifier that trains, since it gets a class more; this one is frozen.")
        self._head = next(name for name, module in model.named_modules() if module is head)
        draws, bound = torch.Generator().manual_seed(self.seed), head.in_features**-0.5
        for parameter in head.parameters():
            row = torch.empty((1, *parameter.shape[1:])).uniform_(-bound, bound, generator=draws)
            parameter.data = torch.cat([parameter.data, row.to(parameter.data)])
        head.out_features += 1
        super().on_init_end(args, state, control, model=model, **kwargs)

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Take over the loss; what moved is asked of the rows that stay."""
        super().on_train_begin(args, state, control, model=model, **kwargs)
        for name, _ in model.get_submodule(self._head).named_parameters(prefix=self._head):
            self._before[name] = self._before[name][:-1]

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the cross-entropy (n,) to the last output of forget, to the label of retain examples."""
        labels = torch.where(is_forget(batch), logits.shape[1] - 1, batch["labels"])
        return F.cross_entropy(logits, labels, reduction="none")

    def finish(self, model: nn.Module) -> None:
        """Cut the last output off."""
        head: Any = model.get_submodule(self._head)
        for parameter in head.parameters():
            parameter.data, parameter.grad = parameter.data[:-1].clone(), None
        head.out_features = len(head.get_parameter("weight"))
