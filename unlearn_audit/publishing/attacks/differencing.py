"""The published model against the one it was made from, which the card links: confidence falls where it forgot."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from unlearn_audit.publishing.attacks._exposure import TOLERANCE, Exposure, Target, scored

__all__ = ["differencing"]


def differencing(target: Target) -> Iterator[Exposure]:
    """Name the examples whose confidence fell most.

    A link leaks only where it adds to what the published weights tell without it.
    """
    before = target.confidence.get("original")
    if not target.linked or before is None:
        return
    after = target.confidence[target.candidate]
    exposure = scored(target, "differencing", "The base model that the card links", before - after, "base_model")
    alone = target.found(target.named(-after))
    yield dataclasses.replace(exposure, leaks=exposure.leaks and exposure.found > alone + TOLERANCE)
