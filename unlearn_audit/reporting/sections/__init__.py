"""The sections of an audit's report: one file a section, found by its name."""

from unlearn_audit.registry import Registry
from unlearn_audit.reporting.sections._section import Section, ShownAudit

__all__ = ["Section", "ShownAudit", "ordered", "registry"]

registry = Registry("unlearn_audit.reporting.sections", "report section")


def ordered() -> tuple[Section, ...]:
    """Return all sections in the order in which they stand on the page."""
    sections: list[Section] = [registry.load(name) for name in registry.names()]
    return tuple(sorted(sections, key=lambda section: (section.order, section.id)))
