"""Pointwise measures of discrepancy between two models' predictions: one file a measure."""

from unlearn_audit.registry import Registry

registry = Registry("unlearn_audit.measures", "measure")
