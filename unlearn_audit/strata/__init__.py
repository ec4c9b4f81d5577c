"""Kinds of strata, ranges of proximity (or classes, or values of a column): one file a kind."""

from unlearn_audit._lazy import lazy
from unlearn_audit.registry import Registry

__all__ = ["Examples", "Strata", "Stratum", "registry"]

registry = Registry("unlearn_audit.strata", "kind of strata")
__getattr__, __dir__ = lazy(__name__, dict.fromkeys(("Examples", "Strata", "Stratum"), "_strata"))
