"""The licence and the base model that a card names where its publisher gives none: read, never guessed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.models.origin import TIMM_SOURCES, Origin, hub_id, license_of_weights
from unlearn_audit.reporting.choices import PublishChoices

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

LookUp = Callable[[str], "ModelInfo | None"]  # what the Hub says of a model; None where it says nothing
SCHEMES = ("hub:", "hf://")


def nothing(repo_id: str) -> None:
    """Ask no Hub."""
    return


@dataclass(frozen=True)
class Inferred:
    """The choices with what was inferred, the names of those fields, and what is not said, with the reason."""

    choices: PublishChoices
    fields: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()

    def named(self, choices: PublishChoices) -> dict[str, str]:
        """Return what was inferred of the choices that are published in the end."""
        found = {name: getattr(choices, name) for name in self.fields}
        return {name: value for name, value in found.items() if value}


def infer(choices: PublishChoices, folder: Path, original: str, *, repo_id: str, look_up: LookUp) -> Inferred:
    """Fill in the licence and the base model that are not given.

    They come from what lies beside the model, from where it was loaded, or from where the audited original was. A base
    model is named where the Hub shows it to everybody.

    Args:
        choices: what is given wins; "" leaves a field out.
        folder: of the model that is published.
        original: where the audit's original model was, as the audit says it.
        repo_id: where the model is published.
        look_up: asks the Hub of a model.
    """
    found = Origin.read(folder)
    if found.base_model is None and original.startswith(SCHEMES):
        found = dataclasses.replace(found, base_model=hub_id(original))
    asked = choices.base_model or found.base_model
    info = look_up(asked) if asked and None in (choices.base_model, choices.license) else None
    card = Origin.of_card(info.card_data.to_dict() if info is not None and info.card_data else {})
    withheld = _unnamed(found.base_model, info) if choices.base_model is None and found.base_model else ()
    new: dict[str, Any] = {}
    if choices.base_model is None and not withheld:
        copied = found.unchanged or found.base_model == repo_id  # no model is its own base
        new["base_model"] = card.base_model if copied else found.base_model
    if choices.license is None:
        of_weights = Origin(license=license_of_weights(_config(folder / "config.json")))
        terms = next((each for each in (found, card) if each.license), of_weights)
        new |= {name: getattr(terms, name) for name in ("license", "license_name", "license_link")}
    new = {name: value for name, value in new.items() if value}
    return Inferred(dataclasses.replace(choices, **new), tuple(new), withheld)


def _unnamed(base: str, info: ModelInfo | None) -> tuple[str, ...]:
    """Return why the base model is not named, if it is not."""
    if info is None:
        return (f"the base model, {base}, which the Hub does not show to this login",)
    return (f"the base model, {base}, which is private: --base-model names it",) if info.private else ()


def relation_of(files: Mapping[str, Path]) -> str:
    """Return what the published weights are to their base model, in the Hub's words, by the files of the model."""
    if "adapter_config.json" in files:
        return "adapter"
    return "quantized" if "quantization_config" in _config(files["config.json"]) else "finetune"


def names_its_base(files: Mapping[str, Path]) -> bool:
    """Whether the weights cannot be loaded without the base model, which they name."""
    return relation_of(files) == "adapter"


def config_to_publish(folder: Path, *, linked: bool) -> str | None:
    """Return a configuration without what tells where the model was, here or on the Hub; None where it tells nothing.

    Transformers before version 5 wrote `_name_or_path`, which may be a path of this machine; timm's `hf_hub_id` is left
    out where the card names no base model.
    """
    found = _config(folder / "config.json")
    kept = {name: item for name, item in found.items() if name != "_name_or_path"}
    if not linked and isinstance(kept.get("pretrained_cfg"), dict):
        kept["pretrained_cfg"] = {n: item for n, item in kept["pretrained_cfg"].items() if n not in TIMM_SOURCES}
    return None if kept == found else json.dumps(kept, indent=2) + "\n"


def _config(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
