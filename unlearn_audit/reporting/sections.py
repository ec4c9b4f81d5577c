"""The report's sections that need only the `AuditReport`: verdicts, tables, controls, provenance, limits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from unlearn_audit.reporting.charting import (
    POPULATIONS,
    excess_bounds,
    model_title,
    primary_population,
    report_signed,
    stratum_title,
)
from unlearn_audit.reporting.tables import (
    NOTHING,
    Cell,
    Group,
    Table,
    as_rows,
    duration,
    interval,
    number,
    percent,
    probability,
    table,
    whole,
)
from unlearn_audit.reporting.view import VerdictView

if TYPE_CHECKING:
    from unlearn_audit.audit.report import AuditReport, ModelRecord
    from unlearn_audit.audit.statistics import Comparison, StratumStatistics

WORDS = {"pass": "Pass", "fail": "Fail", "inconclusive": "Inconclusive"}


def subject(report: AuditReport) -> str:
    """Say what was audited, in one line."""
    counts = [sum(s.counts.get(p, 0) for s in report.strata) for p in POPULATIONS]
    return (
        f"{report.data.name}, {len(report.data.class_names)} classes: {whole(counts[0])} retained and "
        f"{whole(counts[2])} "
        f"test examples. Forget set: {report.forget_set.description}, {whole(report.forget_set.size)} "
        "examples. "
        f"Compared with K = {report.num_references} retrained {_models(report.num_references)}."
    )


def _models(count: int) -> str:
    return "model" if count == 1 else "models"


def verdicts(report: AuditReport) -> tuple[VerdictView, ...]:
    """Return each candidate's verdict, with its K; a candidate without one is said to have none, and why."""
    views = []
    for model in report.by_role("candidate"):
        verdict = report.verdicts.get(model.name)
        if verdict is None or verdict.outcome not in WORDS:
            reason = verdict.reason if verdict is not None else missing_verdict(report)
            views.append(VerdictView("none", "No verdict", model_title(model), reason, _with_k(report)))
        else:
            views.append(
                VerdictView(
                    verdict.outcome,
                    WORDS[verdict.outcome],
                    model_title(model),
                    verdict.reason,
                    _what_would_settle(report, verdict),
                )
            )
    return tuple(views)


def missing_verdict(report: AuditReport) -> str:
    """Say why a report has no verdict."""
    if report.num_references < 3:
        return "a verdict needs at least three retrained models."
    return "this audit gives no verdict."


def _with_k(report: AuditReport) -> str:
    return f"K = {report.num_references} retrained {_models(report.num_references)}."


def _what_would_settle(report: AuditReport, verdict: object) -> str:
    if verdict.outcome == "inconclusive" and verdict.references_needed is not None:
        return f"{_with_k(report)} About {verdict.references_needed} retrained models would settle it."
    return _with_k(report)


def policy_sentence(report: AuditReport) -> str:
    """State the policy under which the verdicts were given."""
    policy = report.policy
    measure = next(m.title for m in report.measures if m.name == policy.measure)
    strata = "every stratum" if policy.strata == "all" else f"the nearest {policy.strata} strata"
    if policy.strata == 1:
        strata = "the nearest stratum"
    return (
        f"Policy: {measure} on the {' and '.join(policy.populations)} set, in {strata} of at least 30 "
        "examples; an excess "
        f"over the noise floor is tolerated up to the larger of {policy.absolute:g} and "
        f"{policy.relative:g} "
        f"times the floor; alpha {policy.alpha:g}, one-sided. Neighbourhoods: "
        f"{report.neighbourhood.description}"
    ).rstrip(".") + "."


def chart_tables(report: AuditReport) -> tuple[Table, ...]:
    """Return the table behind the chart for each measure and population: discrepancy by stratum and model."""
    return tuple(
        _chart_table(report, measure.name, measure.title, population)
        for measure in report.measures
        for population in POPULATIONS
    )


def _chart_table(report: AuditReport, measure: str, title: str, population: str) -> Table:
    found = [(m, c) for m, c in report.comparisons(population, measure) if m.role != "reference"]
    columns = ["stratum", "examples", "noise floor", *(model_title(m) for m, _ in found)]
    rows = []
    for place, record in enumerate(report.strata):
        floor = found[0][1].strata[place].floor if found else None
        values = [number(c.strata[place].discrepancy) for _, c in found]
        rows.append([stratum_title(record), whole(record.counts.get(population, 0)), number(floor), *values])
    attributes = _follows(measure, population)
    return table(
        f"{title}, {population} set: mean discrepancy to the retrained models", columns, rows, **attributes
    )


def _follows(measure: str, population: str) -> dict[str, str]:
    return {"data-table": "follows", "data-measure": measure, "data-population": population}


def strata_tables(report: AuditReport) -> tuple[Table, ...]:
    """Return the table by stratum for each measure and population, candidates first, then the anchors."""
    return tuple(
        strata_table(report, measure.name, population)
        for measure in report.measures
        for population in POPULATIONS
    )


def strata_table(report: AuditReport, measure: str, population: str) -> Table:
    """Return discrepancy, floor, ratio, bounds and test of each candidate and anchor, stratum by stratum."""
    signed = report_signed(report, measure)
    title = next(m.title for m in report.measures if m.name == measure)
    level = f"{100 * (1 - report.policy.alpha):g} %"
    bounds = f"{level} bounds of the excess" if signed else f"{level} bounds of the ratio"
    columns = (
        "stratum",
        "examples",
        "discrepancy",
        "noise floor",
        "ratio",
        "excess",
        bounds,
        "p (Holm)",
        "detectable ratio",
        "K that settles it",
    )
    order = [*report.by_role("candidate"), *report.by_role("original", "untrained")]
    found = [(m, report.comparison(m.name, population, measure)) for m in order]
    groups = [
        Group(_group_title(m, c), as_rows(_stratum_rows(report, c, signed=signed)))
        for m, c in found
        if c is not None
    ]
    return Table(f"{title}, {population} set", columns, tuple(groups), _follows(measure, population))


def _group_title(model: ModelRecord, comparison: Comparison) -> str:
    contrast = comparison.contrast
    if contrast is None or contrast.difference is None:
        return model_title(model)
    return (
        f"{model_title(model)}. Locality, nearest minus farthest log-ratio: {number(contrast.difference)} "
        f"(p {probability(contrast.p_value)})"
    )


def _stratum_rows(report: AuditReport, comparison: Comparison, *, signed: bool) -> Iterable[list[Cell | str]]:
    for record, stratum in zip(report.strata, comparison.strata, strict=True):
        kind = standing(report, stratum, signed=signed)
        yield [
            stratum_title(record),
            Cell(whole(stratum.count), "" if stratum.takes_part else "soft"),
            number(stratum.discrepancy),
            number(stratum.floor),
            Cell(number(stratum.ratio), kind),
            Cell(number(stratum.excess), kind if signed else ""),
            interval(stratum.lower, stratum.upper),
            probability(stratum.p_holm),
            number(stratum.minimum_detectable_ratio),
            NOTHING if stratum.references_needed is None else whole(stratum.references_needed),
        ]


def standing(report: AuditReport, stratum: StratumStatistics, *, signed: bool) -> str:
    """Say where a stratum's bounds lie: "over" the tolerance, "within" it, or "" for neither."""
    if stratum.lower is None or stratum.upper is None or stratum.floor is None:
        return ""
    low, high = excess_bounds(stratum, signed=signed)
    tolerance = max(report.policy.absolute, report.policy.relative * abs(stratum.floor))
    if low > tolerance:
        return "over"
    return "within" if high <= tolerance else ""


def cost_table(report: AuditReport) -> Table:
    """Return cost and excess in the nearest stratum, model by model."""
    measure, population = report.policy.measure, primary_population(report)
    rows = []
    for model in report.by_role("candidate", "original", "reference"):
        found = report.comparison(model.name, population, measure)
        excess = found.strata[0].excess if found is not None and model.role != "reference" else None
        rows.append(
            [
                model_title(model),
                duration(model.seconds),
                percent(model.seconds_share),
                whole(model.examples),
                percent(model.examples_share),
                number(excess),
            ]
        )
    columns = (
        "model",
        "time",
        "of a retraining",
        "examples processed",
        "of a retraining",
        "excess, nearest stratum",
    )
    return table("Cost of each model", columns, rows)


def model_table(report: AuditReport) -> Table:
    """Return where each model came from."""
    rows = [
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
    return table(
        "All models of this audit", ("model", "role", "method", "seed", "id", "weights, SHA-256"), rows
    )


def provenance(report: AuditReport) -> tuple[tuple[str, str], ...]:
    """Return the facts that a person needs to repeat the audit."""
    made = report.provenance
    facts = [
        ("Data", report.data.name),
        ("Data fingerprint", report.data.fingerprint),
        ("Forget set", f"{report.forget_set.description}; {whole(report.forget_set.size)} examples"),
        ("Forget-set hash", report.forget_set.hash),
        (
            "Proximity",
            f"{report.neighbourhood.proximity}, in the embedding of {report.neighbourhood.embedding}",
        ),
        ("Strata", report.neighbourhood.strata),
        ("Made", made.created),
        ("Took", duration(made.seconds)),
        ("Command", made.command or NOTHING),
        ("Versions", ", ".join(f"{name} {version}" for name, version in sorted(made.versions.items()))),
    ]
    facts += [(f"Configuration: {key}", str(value)) for key, value in sorted(made.configuration.items())]
    return tuple(facts)


def limits(report: AuditReport, *, forget_images: bool, images: bool) -> tuple[str, ...]:
    """Say what this audit cannot show."""
    said = [
        "The audit compares predictions. It says nothing about what can be read from a model's weights, "
        "nor about "
        "attacks that look at anything but its outputs on these examples.",
        f"It speaks of this forget set, these data and these {report.num_references} retrained "
        f"{_models(report.num_references)}. Another forget set, or another way of retraining, may give "
        "another answer.",
        "Not failing is not the same as being indistinguishable: the detectable ratio says how large a "
        "difference "
        "could have stayed unseen.",
        "Strata, measure and tolerance were fixed by the policy above; a different policy may give another "
        "verdict.",
    ]
    small = sum(any(s.counts.get(p, 0) < 30 for p in report.policy.populations) for s in report.strata)
    if small:
        said.append(
            f"{small} of {len(report.strata)} strata hold fewer than 30 examples and take no part in the "
            "verdict."
        )
    if report.num_references < 3:
        said.append(
            "With fewer than three retrained models their own variation cannot be told, so there is no "
            "verdict."
        )
    if not images:
        said.append("No images are embedded in this file.")
    elif forget_images:
        said.append(
            "This file embeds images of the forget set. They may be personal data: share it accordingly."
        )
    else:
        said.append("Images of the forget set are not embedded in this file.")
    return tuple(said)


def aggregate_table(report: AuditReport) -> Table:
    """Return the aggregate figures: first those of the retrained models, at which an unlearned one aims."""
    retrained = [m.name for m in report.by_role("reference")]
    rows = [[f"retrained, mean of {len(retrained)}", *_aggregate_cells(report, retrained)]]
    for model in report.by_role("candidate", "original", "untrained"):
        rows.append([model_title(model), *_aggregate_cells(report, [model.name])])
    columns = ("model", *POPULATIONS, "MIA")
    return table("Accuracy by population, and membership inference", columns, rows)


def _aggregate_cells(report: AuditReport, names: list[str]) -> list[str]:
    known = [report.aggregate[name] for name in names if name in report.aggregate]
    shares = [percent(_mean(figures.accuracy.get(p) for figures in known)) for p in POPULATIONS]
    return [*shares, number(_mean(report.membership[n].auc for n in names if n in report.membership))]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def aggregate_note(report: AuditReport) -> str:
    """Say what the aggregate figures hide."""
    return (
        "The aim is the retrained models' values. One number for a whole population can agree with them "
        "while the "
        "examples nearest to the forget set do not: compare with the chart."
    )


def alarms(report: AuditReport) -> tuple[str, ...]:
    """Return what must stand at the top: controls that misbehaved, in their own words."""
    return () if report.controls is None else report.controls.alarms


def controls_table(report: AuditReport) -> Table | None:
    """Return what each control should get and what it got."""
    if report.controls is None:
        return None
    return table("Controls", ("control", "should get", "got", ""), [])


def comparison_table(reports: Iterable[AuditReport]) -> Table:
    """Return a row for each candidate of each audit: verdict, ratio and excess in the nearest stratum."""
    rows = []
    for report in reports:
        for model, view in zip(report.by_role("candidate"), verdicts(report), strict=True):
            found = report.comparison(model.name, primary_population(report), report.policy.measure)
            nearest = None if found is None else found.strata[0]
            rows.append(
                [
                    Cell(report.title, "text"),
                    Cell(view.candidate, "text"),
                    Cell(view.word, "text"),
                    str(report.num_references),
                    number(nearest and nearest.ratio),
                    number(nearest and nearest.excess),
                ]
            )
    columns = ("audit", "model", "verdict", "K", "ratio, nearest stratum", "excess, nearest stratum")
    return table("Each unlearned model in its audit", columns, rows)
