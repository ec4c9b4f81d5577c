"""What the models of a study start from: the content of a checkpoint decides, where it lies does not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from unlearn_audit.data import Images
from unlearn_audit.errors import ModelError
from unlearn_audit.experiment.config import ModelConfig
from unlearn_audit.experiment.stages.base import ADDED, INCIDENTAL
from unlearn_audit.files import sha256
from unlearn_audit.models import adapt, create_model
from unlearn_audit.models.adapting import Trained
from unlearn_audit.models.naming import Checkpoint, checkpoint_named

_DECISIVE = ("*.safetensors", "*config.json")  # of a model's folder


@dataclass(frozen=True)
class PlannedModel:
    """A model to be trained.

    Attributes:
        name: of an architecture or a Hub id; of a folder, what it holds.
        place: what to start from, wherever a worker runs.
    """

    name: str
    arguments: Mapping[str, Any]
    place: str = field(metadata=INCIDENTAL)
    pretrained: bool | None = field(default=None, metadata=ADDED)
    trained: Trained = field(default="all", metadata=ADDED)
    lora: Mapping[str, Any] = field(default_factory=dict, metadata=ADDED)

    @classmethod
    def of(cls, config: ModelConfig) -> PlannedModel:
        """Look at what the configuration names.

        Raises:
            ModelError: where there is no such architecture or folder.
        """
        checkpoint = checkpoint_named(config.name, pretrained=config.pretrained)
        name = place = config.name
        if checkpoint is not None and checkpoint.is_folder:
            name, place = f"checkpoint {content_hash(checkpoint.source)}", str(Path(checkpoint.source).resolve())
        return cls(name, config.arguments, place, config.pretrained, config.trained, config.lora)

    def create(self, images: Images, seed: int) -> nn.Module:
        """Make the model, all random weights from `seed`."""
        return create_model(self.place, images, seed=seed, pretrained=self.pretrained, **self.arguments)

    def adapt(self, model: nn.Module) -> nn.Module:
        """Return it ready to be trained in the parts that are."""
        return adapt(model, self.trained, self.lora)

    @property
    def processor(self) -> Checkpoint | None:
        """Where the image processor of models that start from a checkpoint is."""
        return checkpoint_named(self.place, pretrained=self.pretrained)


def content_hash(folder: str | Path) -> str:
    """Return a SHA-256, in hex, over weights and configurations in a model's folder.

    Raises:
        ModelError: where it holds none.
    """
    paths = sorted({path for pattern in _DECISIVE for path in Path(folder).glob(pattern)})
    if not paths:
        raise ModelError(f"Expected a folder of a model with config.json and safetensors weights, got {str(folder)!r}.")
    text = "\n".join(f"{path.name} {sha256(path)}" for path in paths)
    return hashlib.sha256(text.encode()).hexdigest()
