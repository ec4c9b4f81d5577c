"""Unlearning methods as callbacks on a stock `transformers.Trainer`: one file a method."""

from unlearn_audit.registry import Registry

registry = Registry("unlearn_audit.methods", "method", helpers=frozenset({"base", "hooks", "saliency", "support"}))
