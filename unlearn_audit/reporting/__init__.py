"""What people see and share: HTML, plots, model card, Hub. Names are imported when they are first used."""

from __future__ import annotations

from unlearn_audit._lazy import lazy

_HOMES = {
    "AuditCallback": "callback",
    "AuditSource": "html",
    "CardFacts": "card",
    "Destination": "hub",
    "HtmlChoices": "html",
    "PublishChoices": "publication",
    "PushResult": "hub",
    "chart_data": "charting",
    "compare_folders": "folder",
    "pull": "hub",
    "push": "hub",
    "render_folder": "folder",
    "write_card": "card",
    "write_comparison": "html",
    "write_html": "html",
    "write_plots": "plots",
}
__all__ = [
    "AuditCallback",
    "AuditSource",
    "CardFacts",
    "Destination",
    "HtmlChoices",
    "PublishChoices",
    "PushResult",
    "chart_data",
    "compare_folders",
    "pull",
    "push",
    "render_folder",
    "write_card",
    "write_comparison",
    "write_html",
    "write_plots",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
