"""Pointwise measures of discrepancy between two models' predictions: one file a measure."""

from unlearn_audit._lazy import lazy
from unlearn_audit.registry import Registry

__all__ = ["Measure", "Outputs", "registry"]

registry = Registry("unlearn_audit.measures", "measure")
__getattr__, __dir__ = lazy(__name__, {"Measure": "_measure", "Outputs": "_outputs"})
