"""Proximities to the forget set, larger is nearer: one file a proximity."""

from unlearn_audit._lazy import lazy
from unlearn_audit.registry import Registry

__all__ = ["Embeddings", "Proximity", "nearest", "registry"]

registry = Registry("unlearn_audit.proximities", "proximity")
__getattr__, __dir__ = lazy(__name__, {"Embeddings": "_embeddings", "Proximity": "_proximity", "nearest": "_search"})
