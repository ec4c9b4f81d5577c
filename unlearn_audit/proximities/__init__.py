"""Proximities to the forget set, one file each, and the strata cut from them.

A proximity is a function `(embeddings (n, d), forget_embeddings (f, d), *, own, k) -> (n,)`; larger is nearer.
"""

from unlearn_audit.registry import Registry

registry = Registry("unlearn_audit.proximities", "proximity")
