"""What people see and share: HTML, plots, model card. Names are imported when they are first used."""

from __future__ import annotations

from unlearn_audit._lazy import lazy

_HOMES = {
    "AuditSource": "html",
    "PublishChoices": "choices",
    "chart_data": "charting",
    "compare_folders": "folder",
    "render_folder": "folder",
    "write_card": "card",
    "write_comparison": "html",
    "write_html": "html",
    "write_plots": "plots",
}
__all__ = [
    "AuditSource",
    "PublishChoices",
    "chart_data",
    "compare_folders",
    "render_folder",
    "write_card",
    "write_comparison",
    "write_html",
    "write_plots",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
