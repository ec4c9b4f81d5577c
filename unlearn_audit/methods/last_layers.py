"""CF-k and EU-k: fine-tuning, or training anew, of the last k layers alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._copies import fresh
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods.base import _check
from unlearn_audit.methods.finetune import FineTune

__all__ = ["LastLayers"]


@dataclass(eq=False, kw_only=True)
class LastLayers(FineTune):
    """CF-k: the last `layers` convolutions and linear layers learn the retain set; everything before them is frozen.

    `reset=True` is EU-k: they first take the weights of an untrained model of the same configuration, and with them the
    BatchNorms among them, weights and statistics, which learned from the forget set too (the authors draw Kaiming
    normal weights, and leave BatchNorm as it is). What is frozen still holds what it learned, so that EU-k is exact for
    the layers that it trains only: where a head alone was trained, its result is one more retrained model.

    The authors' rates fall from 0.1 to 0.005 in warm restarts, here along a cosine. EU-k wants as many epochs as the
    original had (theirs: 62).

    Attributes:
        layers: k, counted from the output.
        reset: whether they begin anew.

    Reference: Goel et al. 2022 (arXiv 2201.06640).
    """

    layers: int = 3
    reset: bool = False

    scope: ClassVar[Scope] = Scope(
        needs="retain", random="with care", partial="with care", whole="yes", cost="0.3 to 1 E n_r / n"
    )
    training_defaults: ClassVar[Settings] = sgd(
        epochs=30, learning_rate=0.1, weight_decay=5e-5, batch_size=64, scheduler="cosine"
    )
    search_space: ClassVar[Settings] = space(rates=(1e-2, 1e-1), epochs=(5, 10), layers=(1, 3, 5))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.layers >= 1, self, "layers", "at least 1")
        _check(not (self.reset and self.freeze_batchnorm), self, "reset", "False where BatchNorm is frozen")
        self._untrained: dict[str, Tensor] = {}

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Draw the weights and the statistics that the layers begin from, for EU-k."""
        if self.reset:
            drawn = fresh(model, examples, seed=self.seed)
            self._untrained = {
                f"{name}.{own}": tensor
                for name, module in self._last(drawn)
                for own, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
            }

    def trainable(self, model: nn.Module) -> set[str]:
        """Return the names of the parameters of the last layers, and of the norms between and behind them."""
        return {
            f"{name}.{own}" for name, module in self._last(model) for own, _ in module.named_parameters(recurse=False)
        }

    def edit(self, model: nn.Module) -> None:
        """Put the layers back to their beginning, for EU-k."""
        if self.reset and not self._untrained:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which draws new layers.")
        for name, tensor in model.state_dict(keep_vars=True).items():
            if name in self._untrained:
                tensor.copy_(self._untrained[name])

    def _last(self, model: nn.Module) -> list[tuple[str, nn.Module]]:
        modules = list(model.named_modules())
        places = [place for place, (_, module) in enumerate(modules) if isinstance(module, (nn.Conv2d, nn.Linear))]
        if len(places) < self.layers:
            raise MethodError(f"Expected a model of at least layers={self.layers} layers, this one has {len(places)}.")
        return modules[places[-self.layers] :]
