"""Where data, models and figures come from: what a person needs to repeat the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.tables import NOTHING, Cell, Table, duration, table, whole

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport

__all__ = ["provenance"]

TEMPLATE = """
<dl class="facts">
  {% for name, value in facts %}
  <dt>{{ name }}</dt><dd>{{ value }}</dd>
  {% endfor %}
</dl>
<h3>Models</h3>
<div class="scroll">{{ cells(models) }}</div>
"""


def _values(shown: ShownAudit) -> dict[str, Any]:
    report = shown.report
    return {"facts": subject_facts(report) + run_facts(report), "models": model_table(report)}


provenance = Section("provenance", "Provenance", order=70, template=TEMPLATE, values=_values, may_break=True)


def subject_facts(report: AuditReport) -> tuple[tuple[str, str], ...]:
    """Return the names and values that say what was audited: data, forget set and neighbourhoods."""
    near = report.neighbourhood
    return (
        ("Data", report.data.name),
        ("Data fingerprint", report.data.fingerprint),
        ("Forget set", f"{report.forget_set.description}; {whole(report.forget_set.size)} examples"),
        ("Forget-set hash, salted" if report.forget_set.salted else "Forget-set hash", report.forget_set.hash),
        ("Proximity", near.proximity),
        ("Embedding", near.embedding),
        ("Strata", near.strata),
    )


def run_facts(report: AuditReport) -> tuple[tuple[str, str], ...]:
    """Return the names and values that say how the report was made."""
    made = report.provenance
    return (
        ("Made", made.created),
        ("Took", duration(made.seconds)),
        ("Command", made.command or NOTHING),
        ("Seal, SHA-256", made.seal or "none: nothing shows what was settled before the candidates were seen"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in sorted(made.versions.items()))),
        *((f"Configuration: {key}", str(value)) for key, value in sorted(made.configuration.items())),
    )


def model_table(report: AuditReport) -> Table:
    """Return where each model came from."""
    rows: list[list[Cell | str]] = [
        [
            model.name,
            Cell(model.role, "text"),
            Cell(model.method or NOTHING, "text"),
            NOTHING if model.seed is None else str(model.seed),
            Cell(model.model_id, "wrap"),
            Cell(model.weights_hash[:16] or NOTHING, "text"),
        ]
        for model in report.models
    ]
    return table("All models of this audit", ("model", "role", "method", "seed", "id", "weights, SHA-256"), rows)
