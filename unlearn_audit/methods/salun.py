"""SalUn: random labels on salient weights."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn_audit.methods.random_labels import RandomLabels

__all__ = ["SalUn"]


@dataclass(eq=False, kw_only=True)
class SalUn(RandomLabels):
    """SalUn: random labels with retain examples, moving only the salient half of the weights.

    The mask is `saliency_share`, which every other method takes too.

    Reference: Fan et al. 2024 (arXiv 2310.12508).
    """

    retain_share: float = 1.0
    saliency_share: float | None = 0.5
