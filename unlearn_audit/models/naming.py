"""What the name of a model means: an architecture, or a checkpoint in a folder or on the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from unlearn_audit.errors import ModelError, did_you_mean

# The paper's ViT-Tiny for 32 x 32 images: timm's, with patches of 4 pixels.
ALIASES: dict[str, tuple[str, dict[str, Any]]] = {
    "vit_tiny_patch4": ("vit_tiny_patch16_224", {"patch_size": 4}),
}
_HUB = "hf://"
_WHOLE = "hub:"  # as `audit` and `verify` name a repository
_NO_MODELS = ("datasets", "spaces", "buckets")


@dataclass(frozen=True)
class Checkpoint:
    """Where a model was saved: a folder, or a repository of the Hub at a revision, perhaps in a folder there."""

    source: str
    revision: str | None = None
    subfolder: str = ""

    @classmethod
    def of(cls, source: str | Path) -> Checkpoint:
        """Read a folder, a Hub id, `hf://USER/NAME[@REVISION][/FOLDER]` or `hub:USER/NAME[@REVISION]`.

        No file is looked at. After `hub:` all that follows the `@` is the revision: `hub:USER/NAME@refs/pr/1`.
        """
        text = str(source)
        folders: list[str] = []
        if text.startswith(_WHOLE):
            repository, _, revision = text.removeprefix(_WHOLE).partition("@")
            user, _, name = repository.partition("/")
        elif text.startswith(_HUB):
            user, _, path = text.removeprefix(_HUB).removeprefix("models/").strip("/").partition("/")
            named, *folders = path.split("/")
            name, _, revision = named.partition("@")
        else:
            return cls(str(Path(text).expanduser()) if text.startswith("~") else text)
        if not name or user in _NO_MODELS:
            raise ModelError(f"Expected a model, hf://USER/NAME[@REVISION][/FOLDER], got {text!r}.")
        return cls(f"{user}/{name}", revision or None, "/".join(folders))

    @property
    def is_folder(self) -> bool:
        """Whether it lies on this machine."""
        return Path(self.source).is_dir()

    @property
    def options(self) -> dict[str, Any]:
        """Where the `from_pretrained` of transformers finds it, beside `source`."""
        return {"revision": self.revision, "subfolder": self.subfolder}


@cache
def timm_names() -> frozenset[str]:
    """Return the names of all timm architectures, this package's own among them."""
    import timm

    return frozenset((*ALIASES, *timm.list_models()))


@cache
def transformers_names() -> frozenset[str]:
    """Return the names of the architectures of transformers that classify images: "vit", "convnextv2", "resnet"."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as KNOWN

    return frozenset(KNOWN) - {"timm_wrapper"}


def checkpoint_named(name: str, *, pretrained: bool | None = None) -> Checkpoint | None:
    """Return the checkpoint that `name` means, or None where it names an architecture with random weights.

    A timm name stands for its checkpoint on the Hub where `pretrained` is True; "NAME.TAG" says which of several.

    Raises:
        ModelError: where it is neither, or an architecture without a checkpoint of its own is to be `pretrained`.
    """
    architecture = name.partition(".")[0] if not name.startswith(".") else name
    if name in transformers_names():
        if pretrained:
            raise ModelError(
                f"Expected the Hub id or folder of a checkpoint with pretrained, got the architecture {name!r}, of "
                "which there are many. Write for example google/vit-base-patch16-224-in21k."
            )
        return None
    if architecture in timm_names():
        return _timm_checkpoint(name) if pretrained else None
    if "/" in name or name.startswith((".", "~", _WHOLE)) or Path(name).is_dir():
        return Checkpoint.of(name)
    hint = did_you_mean(name, timm_names() | transformers_names())
    raise ModelError(
        f"There is no timm model, architecture of transformers or folder {name!r}.{hint} A model of the Hub is named "
        "USER/NAME."
    )


def _timm_checkpoint(name: str) -> Checkpoint:
    from timm.models import get_pretrained_cfg

    found = get_pretrained_cfg(ALIASES.get(name, (name, {}))[0], allow_unregistered=True)
    if found is None or not found.hf_hub_id or name in ALIASES:
        raise ModelError(f"timm has no pretrained weights of {name!r} on the Hub. Leave `pretrained` out.")
    identity = found.hf_hub_id if not found.hf_hub_id.endswith("/") else f"{found.hf_hub_id}{found.architecture}"
    return Checkpoint(identity if "." in identity or not found.tag else f"{identity}.{found.tag}")
