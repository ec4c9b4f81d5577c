"""Audited models on the Hub: what may be published, pushing and pulling."""

from __future__ import annotations

from unlearn_audit._lazy import lazy

_HOMES = {
    "AuditCallback": "callback",
    "Destination": "hub",
    "PublishChoices": "publication",
    "PushResult": "hub",
    "pull": "hub",
    "push": "hub",
}
__all__ = ["AuditCallback", "Destination", "PublishChoices", "PushResult", "pull", "push"]

__getattr__, __dir__ = lazy(__name__, _HOMES)
