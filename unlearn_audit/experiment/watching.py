"""Figures of a model while it trains, against a retrained model that no audit uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from unlearn_audit.data import ForgetSet, Images
from unlearn_audit.experiment.tuning import Goal
from unlearn_audit.models import predict
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions import Predictions


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Compares a model with a held-out retrained one: called with the model, it returns figures to log.

    For `AuditCallback(audit, every="epoch", watch=HeldOut.of(...))`: a checkpoint can be chosen by these figures,
    because the references of the audit were not looked at.
    """

    goal: Goal
    images: Images

    @classmethod
    def of(
        cls, held_out: Predictions, original: Predictions, forget: ForgetSet, images: Images, **options: Any
    ) -> HeldOut:
        """Choose the examples that are looked at: forgotten, near and far retained ones.

        Args:
            held_out: predictions of a retrained model that is no reference of the audit.
            original: predictions of the original model, with embeddings.
            forget: the forget set.
            images: the training examples.
            options: `neighbourhood`, and `strata`, `most` and `seed` as `Goal.of` takes them.
        """
        options.setdefault("neighbourhood", NeighbourhoodConfig())
        return cls(Goal.of(held_out, original, forget, images, **options), images)

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return mean Jensen-Shannon divergences (bits) from the held-out model by group, and the objective.

        The objective is the mean over the groups of the divergence as a share of the original's: 1 is doing nothing,
        less is better.
        """
        logits = predict(model, self.images.select(self.goal.rows), embeddings=False).logits
        found = self.goal.discrepancy(logits)
        figures = {f"held_out_{name}": value for name, value in found.items()}
        return {**figures, "held_out_objective": self.goal.objective(found)}
