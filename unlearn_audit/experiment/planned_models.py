"""What the models of a study start from: the content of a checkpoint decides, where it lies does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from unlearn_audit.data import Images
from unlearn_audit.experiment.config import ModelConfig
from unlearn_audit.experiment.stages.base import ADDED, INCIDENTAL
from unlearn_audit.models import adapt, create_model
from unlearn_audit.models.adapting import Trained
from unlearn_audit.models.checkpoints import pinned
from unlearn_audit.models.naming import checkpoint_named


@dataclass(frozen=True)
class PlannedModel:
    """A model to be trained.

    Attributes:
        name: of an architecture or a Hub id; of a folder, what it holds.
        place: what to start from, wherever a worker runs: of a Hub id, at the commit that it had.
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
        if checkpoint is not None:
            name, place = pinned(checkpoint)
        return cls(name, config.arguments, place, config.pretrained, config.trained, config.lora)

    @property
    def shown(self) -> str:
        """The architecture, or the last part of a checkpoint's name."""
        return self.place.partition("@")[0].rstrip("/").rpartition("/")[2]

    def create(self, images: Images, seed: int) -> nn.Module:
        """Make the model, all random weights from `seed`."""
        pretrained = None if self.pretrained and self.place.startswith("hf://") else self.pretrained
        return create_model(self.place, images, seed=seed, pretrained=pretrained, **self.arguments)

    def adapt(self, model: nn.Module) -> nn.Module:
        """Return it ready to be trained in the parts that are."""
        return adapt(model, self.trained, self.lora)
