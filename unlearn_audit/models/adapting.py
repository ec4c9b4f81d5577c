"""What of a model is trained: all, its head alone, or low-rank adapters (LoRA, extra `lora`), merged at the end.

A model that is judged is always whole: `merge` gives back the stock model, whose weights hold what the adapter learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from unlearn_audit.errors import ModelError
from unlearn_audit.models.loading import classifier
from unlearn_audit.models.training_record import hand_on_training

Trained = Literal["all", "head", "lora"]
_ATTRIBUTE = "_unlearn_audit_frozen_statistics"


def adapt(model: nn.Module, trained: Trained, options: Mapping[str, Any] | None = None) -> nn.Module:
    """Return `model` ready to be trained in the parts that `trained` names; `merge` ends it.

    Args:
        model: from `create_model` or `load_model`.
        trained: "all"; "head", the last linear layer alone; or "lora", low-rank adapters of all linear layers (of the
            convolutions where there are none) and the head (Hu et al. 2022, arXiv 2106.09685), which needs PEFT. What
            is frozen keeps its BatchNorm statistics.
        options: of PEFT's `LoraConfig`, such as `r`, `lora_alpha`, `lora_dropout`, `target_modules`.

    Raises:
        ModelError: where PEFT is not installed or refuses the options.
    """
    if options and trained != "lora":
        raise ModelError(f"Expected options of LoRA with trained: lora, got them with trained: {trained}.")
    if trained == "all":
        return model
    head = classifier(model)
    adapted = _with_lora(model, head, dict(options or {})) if trained == "lora" else model
    if trained == "head":
        model.requires_grad_(False)
        head.requires_grad_(True)
    adapted.__dict__[_ATTRIBUTE] = adapted.register_forward_pre_hook(_freeze_statistics)
    return adapted


def merge(model: nn.Module) -> nn.Module:
    """Return the whole stock model after training: adapters are merged into its weights, nothing is frozen."""
    hook = model.__dict__.pop(_ATTRIBUTE, None)
    if hook is not None:
        hook.remove()
    if is_adapted(model):
        peft: Any = model
        model = peft.merge_and_unload()
        hand_on_training(peft, model)
    return model.requires_grad_(True)


def is_adapted(model: nn.Module) -> bool:
    """Whether PEFT has put adapters into it."""
    return hasattr(model, "peft_config") and hasattr(model, "merge_and_unload")


def _with_lora(model: nn.Module, head: nn.Linear, options: dict[str, Any]) -> nn.Module:
    try:
        import peft
    except ImportError as error:
        raise ModelError("LoRA needs PEFT, which is not installed: pip install 'unlearn-audit[lora]'.") from error
    names = {module: name for name, module in model.named_modules()}
    options.setdefault("target_modules", _targets(names, head))
    options.setdefault("modules_to_save", [names[head]])
    try:
        adapted: nn.Module = peft.get_peft_model(model, peft.LoraConfig(**options))
    except (TypeError, ValueError) as error:
        raise ModelError(f"PEFT cannot put LoRA into {type(model).__name__} with {options}: {error}") from error
    return adapted


def _targets(names: Mapping[nn.Module, str], head: nn.Linear) -> list[str]:
    """Return the names of all linear layers but the head, or of the convolutions where there are none."""
    linear = [name for module, name in names.items() if isinstance(module, nn.Linear) and module is not head]
    return linear or [n for module, n in names.items() if isinstance(module, nn.Conv2d) and module.groups == 1]


def _freeze_statistics(model: nn.Module, inputs: Any) -> None:
    """Keep BatchNorm below frozen weights as it was: Trainer switches the whole model to training before each step."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not any(p.requires_grad for p in module.parameters()):
            module.eval()
