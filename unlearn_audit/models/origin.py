"""What a model was made from, kept beside its weights: read from what it was loaded from, never guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from unlearn_audit.errors import ModelError
from unlearn_audit.files import write_text
from unlearn_audit.models.naming import Checkpoint

ORIGIN = "origin.json"  # in a model's folder; not published
_CARD = "README.md"
TIMM_SOURCES = ("hf_hub_id", "hf_hub_filename", "url", "file", "source")  # of its pretrained weights
_CONFIGS = ("adapter_config.json", "config.json")


@dataclass(frozen=True)
class Origin:
    """What is known of where a model comes from; all of it may be unknown.

    Attributes:
        base_model: Hub id of the nearest model that it was made from.
        license: of the model that it was made from, as that one's own card in a folder says.
        license_name: beside the license "other".
        license_link: likewise.
        unchanged: whether the weights still are those of `base_model`.
    """

    base_model: str | None = None
    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    unchanged: bool = False

    @classmethod
    def of(cls, model: Any) -> Origin:
        """Return the origin of what is made from a model: where it was loaded from, or that folder's own origin."""
        config = model.config
        source = str(getattr(config, "_name_or_path", "") or "")
        if source and Path(source).is_dir():
            return replace(cls.read(source), unchanged=False)
        return cls(hub_id(source)) if hub_id(source) else cls(_named_by(config.to_dict()))

    @classmethod
    def read(cls, folder: str | Path) -> Origin:
        """Return the origin of a model in a folder, by what lies there: its card, `origin.json`, its configuration.

        A folder of the Hub's cache is a copy of its repository.
        """
        folder = Path(folder)
        if _cached(folder):
            return cls(_cached(folder), unchanged=True)
        card, kept = cls.of_card(_card_of(folder)), cls._kept(folder)
        base = card.base_model or kept.base_model
        if base is None:
            base = next(filter(None, (_named_by(_json_of(folder / name)) for name in _CONFIGS)), None)
        terms = card if card.license else kept
        unchanged = kept.unchanged and base == kept.base_model
        return replace(terms, base_model=base, unchanged=unchanged)

    @classmethod
    def of_card(cls, metadata: Mapping[str, Any]) -> Origin:
        """Return what a card's metadata say; of several base models, or several licences, nothing."""
        named = metadata.get("base_model")
        one = named[0] if isinstance(named, list) and len(named) == 1 else named
        license, name, link = (_text(metadata.get(key)) for key in ("license", "license_name", "license_link"))
        return cls(hub_id(one), license, name, link)

    @classmethod
    def _kept(cls, folder: Path) -> Origin:
        found = _json_of(folder / ORIGIN)
        return replace(cls.of_card(found), unchanged=found.get("unchanged") is True)

    def write(self, folder: str | Path) -> None:
        """Keep it in a model's folder, in place of another one; where nothing is known, no file is left."""
        path = Path(folder) / ORIGIN
        if replace(self, unchanged=False) == Origin():
            path.unlink(missing_ok=True)
        else:
            write_text(path, json.dumps(asdict(self), indent=2) + "\n")


def hub_id(name: Any) -> str | None:
    """Return USER/NAME where `name` is that, or `hub:` or `hf://` and that; None for anything else."""
    if not isinstance(name, str) or "/" not in name or "\\" in name:
        return None
    try:
        source = Checkpoint.of(name).source
        validate_repo_id(source)
    except (HFValidationError, ModelError):
        return None
    return source if source.count("/") == 1 and not source.startswith((".", "~", "/")) else None


def _cached(folder: Path) -> str | None:
    """Return the repository of which `folder` is a snapshot in the Hub's cache."""
    found = re.search(r"/models--([^/]+)--([^/]+)/snapshots/", folder.resolve().as_posix() + "/")
    return hub_id(f"{found[1]}/{found[2]}") if found else None


def without_origin(config: Any) -> Any:
    """Return the configuration of a checkpoint for random weights, which come from nowhere."""
    config.name_or_path = ""
    if isinstance(getattr(config, "pretrained_cfg", None), dict):
        of_weights = (*TIMM_SOURCES, "tag", "license")
        config.pretrained_cfg = {name: item for name, item in config.pretrained_cfg.items() if name not in of_weights}
    return config


def license_of_weights(config: Mapping[str, Any]) -> str | None:
    """Return the licence that the configuration of a timm model gives for the weights that it started from."""
    return _text(_pretrained(config).get("license"))


def _named_by(config: Mapping[str, Any]) -> str | None:
    """Return the model that a configuration says its weights come from."""
    for key in ("base_model_name_or_path", "_name_or_path"):
        source = config.get(key)
        if isinstance(source, str) and not Path(source).exists() and hub_id(source):
            return hub_id(source)
    found = _pretrained(config)
    identity = _text(found.get("hf_hub_id"))
    if identity is not None and identity.endswith("/"):  # timm's own: the name follows from architecture and tag
        architecture, tag = config.get("architecture"), _text(found.get("tag"))
        identity = f"{identity}{architecture}.{tag}" if architecture and tag else None
    return hub_id(identity)


def _pretrained(config: Mapping[str, Any]) -> Mapping[str, Any]:
    found = config.get("pretrained_cfg")
    return found if isinstance(found, dict) else {}


def _card_of(folder: Path) -> Mapping[str, Any]:
    import yaml
    from huggingface_hub import metadata_load

    try:
        found: Any = metadata_load(folder / _CARD)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _json_of(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
