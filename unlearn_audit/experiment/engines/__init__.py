"""Engines run the stages of a study. One file is one engine: a function of stages, store and progress."""

from unlearn_audit.registry import Registry

registry = Registry("unlearn_audit.experiment.engines", "engine")
