"""SCRUB+R: SCRUB, and then back to the epoch that errs on the forget set as often as it should."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._accuracy import forget_accuracy
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, space
from unlearn_audit.methods.base import _check
from unlearn_audit.methods.scrub import Scrub

__all__ = ["ScrubRewind"]


@dataclass(eq=False, kw_only=True)
class ScrubRewind(Scrub):
    """SCRUB+R: the weights after the epoch of SCRUB whose error on the forget set is nearest to `rewind_to`.

    An example that errs more often than unseen ones do tells as much as one that errs less. The authors take as
    reference the error of the last epoch's model on unseen examples distributed as the forget set; here it is given, so
    that no unseen example enters the training: measure it on such a model, or try several. Of two epochs as near, the
    later counts. The original itself is no candidate, as it is with the authors: it would be no unlearning. The weights
    of each epoch stay in the Trainer's `output_dir`, in the folder `rewind`.

    Attributes:
        rewind_to: the error, in [0, 1]; 1 is that of a whole class which the model never saw.

    Reference: Kurmanji et al. 2023 (arXiv 2302.09880).
    """

    rewind_to: float = 1.0

    scope: ClassVar[Scope] = Scope(
        needs="forget and retain", random="yes", partial="yes", whole="yes", cost="1.3 (E n_r + 3 n_f) / n"
    )
    search_space: ClassVar[Settings] = space(
        rates=(1e-4, 1e-1), epochs=(3, 5), max_epochs=(2, 3), rewind_to=(0.05, 0.2, 0.5, 1.0)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(0 <= self.rewind_to <= 1, self, "rewind_to", "an error in [0, 1]")
        self._examples: ExampleDataset | None = None
        self._folder = Path()
        self._process = 0

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Keep a frozen copy of the original, and the examples to err on."""
        super().learn(model, examples)
        self._examples = examples

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Take over the loss, and know where the weights of each epoch go."""
        super().on_train_begin(args, state, control, model=model, **kwargs)
        self._folder, self._process = Path(args.output_dir) / "rewind", args.process_index

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Take the next step, and write the weights where a new epoch begins."""
        super().on_step_begin(args, state, control, **kwargs)
        if state.global_step and self._planned and self._planned.step(state.global_step - 1).epoch < self.epoch:
            self._folder.mkdir(parents=True, exist_ok=True)
            save_file(self._copy(model), self._after(self.epoch - 1))

    def finish(self, model: nn.Module) -> None:
        """Load the weights of the epoch that is nearest."""
        best, distance = self._copy(model), self._distance(model)
        for epoch in reversed(range(self.epoch)):
            model.load_state_dict(self._read(epoch, model))
            if self._distance(model) < distance:
                best, distance = self._copy(model), self._distance(model)
        model.load_state_dict(best)

    def _distance(self, model: nn.Module) -> float:
        if self._examples is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the examples.")
        return abs(1 - forget_accuracy(model, self._examples) - self.rewind_to)

    def _after(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch}-{self._process}.safetensors"

    def _read(self, epoch: int, model: nn.Module) -> dict[str, Tensor]:
        if not (path := self._after(epoch)).is_file():
            raise MethodError(f"Expected the weights after epoch {epoch} in {path}, found none: keep `output_dir`.")
        return load_file(path, device=str(next(model.parameters()).device))

    @staticmethod
    def _copy(model: nn.Module) -> dict[str, Tensor]:
        return {
            name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in model.state_dict().items()
        }
