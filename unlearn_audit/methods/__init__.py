"""Unlearning methods as callbacks on a stock `transformers.Trainer`: one file a method."""

from typing import Any

from unlearn_audit.registry import Registry

registry = Registry("unlearn_audit.methods", "method", helpers=frozenset({"base", "hooks", "saliency", "support"}))


def __getattr__(name: str) -> Any:
    if not name[:1].isupper():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return registry.exported(name)
