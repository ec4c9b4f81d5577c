"""Attacks that tell who was forgotten from what is published: one file an attack, found by its name."""

from collections.abc import Iterator

from unlearn_audit.publishing.attacks._exposure import Exposure, Target
from unlearn_audit.registry import Registry

__all__ = ["Exposure", "Target", "exposures", "registry"]

registry = Registry("unlearn_audit.publishing.attacks", "attack")


def exposures(target: Target) -> Iterator[Exposure]:
    """Run every attack that has something to go by."""
    for name in registry.names():
        yield from registry.load(name)(target)
