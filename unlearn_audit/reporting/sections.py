"""The report's sections that need only the `AuditReport`: verdicts, tables, controls, provenance, limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from unlearn_audit.auditing.statistics import MIN_COUNT, MIN_REFERENCES
from unlearn_audit.populations import POPULATIONS
from unlearn_audit.reporting.charting import (
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
    from unlearn_audit.auditing.report import AuditReport, ModelRecord
    from unlearn_audit.auditing.statistics import Comparison, StratumStatistics

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
    """Return each candidate's verdict with its K; one that was withheld, or that K forbids, is no verdict."""
    return tuple(_verdict(report, model) for model in report.by_role("candidate"))


def _verdict(report: AuditReport, model: ModelRecord) -> VerdictView:
    verdict = report.verdicts[model.name]
    given = has_verdict(report, model.name)
    return VerdictView(
        kind=verdict.outcome if given else "none",
        word=WORDS[verdict.outcome] if given else "No verdict",
        candidate=model_title(model),
        sentence=verdict.reason,
    )


def has_verdict(report: AuditReport, candidate: str) -> bool:
    """Tell whether the audit gives a verdict on a candidate: three references at least, and controls that behave."""
    verdict = report.verdicts.get(candidate)
    return verdict is not None and not verdict.withheld and verdict.num_references >= MIN_REFERENCES


def _tolerance(report: AuditReport) -> str:
    policy = report.policy
    return (
        f"tolerated excess {policy.absolute:g} or {100 * policy.relative:g} % of the noise floor, whichever is larger, "
        f"alpha {policy.alpha:g}"
    )


def policy_sentence(report: AuditReport) -> str:
    """State the policy under which the verdicts were given."""
    policy = report.policy
    measure = next(m.title for m in report.measures if m.name == policy.measure)
    near = "every stratum" if policy.strata == "all" else f"the {_nearest(policy.strata)} taken together"
    return (
        f"Policy: {measure} on {_listed(policy.populations)} examples, {near}, and each whole population; "
        f"{_tolerance(report)}; one-sided tests, corrected for their number. "
        f"Neighbourhoods: {report.neighbourhood.description.rstrip('.')}."
    )


def _nearest(count: int) -> str:
    return "nearest stratum" if count == 1 else f"{count} nearest strata"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


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
    return table(f"{title}, {population} set: mean discrepancy to the retrained models", columns, rows, **attributes)


def _follows(measure: str, population: str) -> dict[str, str]:
    return {"data-table": "follows", "data-measure": measure, "data-population": population}


def strata_tables(report: AuditReport) -> tuple[Table, ...]:
    """Return the table by stratum for each measure and population, candidates first, then the anchors."""
    return tuple(
        strata_table(report, measure.name, population) for measure in report.measures for population in POPULATIONS
    )


def strata_table(report: AuditReport, measure: str, population: str, *, only: ModelRecord | None = None) -> Table:
    """Return discrepancy, floor, ratio, bounds and test by stratum, of each candidate and anchor or of one model."""
    signed = report_signed(report, measure)
    title = next(m.title for m in report.measures if m.name == measure)
    level = f"{100 * (1 - report.policy.alpha):g} %"
    columns = (
        "stratum",
        "examples",
        "discrepancy",
        "noise floor",
        "ratio",
        "excess",
        f"{level} bounds of the {'excess' if signed else 'ratio'}",
        "p (Holm)",
        "detectable ratio",
        "K that settles it",
    )
    order = [only] if only else [*report.by_role("candidate"), *report.by_role("original", "untrained")]
    found = [(m, report.comparison(m.name, population, measure)) for m in order]
    groups = [Group(_group_title(m, c), as_rows(_stratum_rows(report, c)), m.name) for m, c in found if c is not None]
    return Table(f"{title}, {population} set", columns, tuple(groups), _follows(measure, population))


def _group_title(model: ModelRecord, comparison: Comparison) -> str:
    contrast = comparison.contrast
    if contrast is None or contrast.difference is None:
        return model_title(model)
    return (
        f"{model_title(model)}. Locality, nearest minus farthest log-ratio: {number(contrast.difference)} "
        f"(p {probability(contrast.p_value)})"
    )


def _stratum_rows(report: AuditReport, comparison: Comparison) -> Iterable[list[Cell | str]]:
    for record, stratum in zip(report.strata, comparison.strata, strict=True):
        yield _stratum_row(stratum_title(record), stratum)
    near = 1 if report.policy.strata == "all" else report.policy.strata
    if near > 1:
        yield _stratum_row(f"{near} nearest together", comparison.nearest)
    yield _stratum_row("all", comparison.overall)


def _stratum_row(title: str, stratum: StratumStatistics) -> list[Cell | str]:
    kind = "over" if stratum.above_tolerance else "within" if stratum.within_tolerance else ""
    return [
        title,
        Cell(whole(stratum.count), "" if stratum.takes_part else "soft"),
        number(stratum.discrepancy),
        number(stratum.floor),
        Cell(number(stratum.ratio), kind if stratum.ratio is not None else ""),
        Cell(number(stratum.excess), kind if stratum.ratio is None else ""),
        interval(stratum.lower, stratum.upper),
        probability(stratum.p_holm),
        number(stratum.minimum_detectable_ratio),
        NOTHING if stratum.references_needed is None else whole(stratum.references_needed),
    ]


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
    return table("All models of this audit", ("model", "role", "method", "seed", "id", "weights, SHA-256"), rows)


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


def limits(report: AuditReport) -> tuple[str, ...]:
    """Say what this audit cannot show."""
    said = [
        "The audit compares predictions. It says nothing about what can be read from a model's weights, nor about "
        "attacks that look at anything but its outputs on these examples.",
        f"It speaks of this forget set, these data and these {report.num_references} retrained "
        f"{_models(report.num_references)}. Another forget set, or another way of retraining, may give another answer.",
        "Not failing is not the same as being indistinguishable: the detectable ratio says how large a difference "
        "could have stayed unseen.",
        "Strata, measure and tolerance were fixed by the policy above; a different policy may give another verdict.",
    ]
    if report.num_references < MIN_REFERENCES:
        said.append(
            "With fewer than three retrained models their own variation cannot be told, so there is no verdict."
        )
    by_stratum = [p for p in report.policy.populations if p != "forget"]  # the forget set is one group
    small = sum(any(s.counts.get(p, 0) < MIN_COUNT for p in by_stratum) for s in report.strata)
    if small:
        said.append(
            f"{small} of {len(report.strata)} strata hold fewer than {MIN_COUNT} examples of some population that the "
            "verdict rests on. They are shown, but by themselves take no part in it."
        )
    return tuple(said)


def picture_limit(*, images: bool, forget_images: bool) -> str:
    """Say which images a report holds."""
    if not images:
        return "No images are embedded in this file."
    if forget_images:
        return "This file embeds images of the forget set. They may be personal data: share it accordingly."
    return "Images of the forget set are not embedded in this file."


def aggregate_table(report: AuditReport) -> Table:
    """Return the aggregate figures: first those of the retrained models, at which an unlearned one aims."""
    retrained = [m.name for m in report.by_role("reference")]
    rows = [[f"retrained, mean of {len(retrained)}", *_aggregate_cells(report, retrained)]]
    for model in report.by_role("candidate", "original", "untrained"):
        rows.append([model_title(model), *_aggregate_cells(report, [model.name])])
    columns = ("model", *POPULATIONS, "ToW")
    return table("Accuracy by population, and ToW, where 1 is best", columns, rows)


def accuracy(report: AuditReport, name: str, population: str) -> float | None:
    """Return a model's accuracy on a population, or None where it is not known."""
    figures = report.aggregate.get(name)
    return None if figures is None else getattr(figures, f"{population}_accuracy")


def _aggregate_cells(report: AuditReport, names: list[str]) -> list[str]:
    known = [report.aggregate[name] for name in names if name in report.aggregate]
    shares = [percent(_mean(getattr(figures, f"{p}_accuracy") for figures in known)) for p in POPULATIONS]
    return [*shares, number(_mean(figures.tug_of_war for figures in known))]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


AGGREGATE_NOTE = (
    "The aim is the retrained models' values. One number for a whole population can agree with them while the examples "
    "nearest to the forget set do not: compare with the chart."
)


def membership_table(report: AuditReport) -> Table | None:
    """Return membership inference on the forget set: the margin's AUC, and the attack on confidence."""
    if not report.membership:
        return None
    retrained = [m.name for m in report.by_role("reference")]
    rows = [[f"retrained, mean of {len(retrained)}", *_membership_cells(report, retrained)]]
    for model in report.by_role("candidate", "original"):
        rows.append([model_title(model), *_membership_cells(report, [model.name])])
    columns = ("model", "AUC of the margin", "taken for unseen")
    return table("Membership inference on the forget set", columns, rows)


def _membership_cells(report: AuditReport, names: list[str]) -> list[str]:
    known = [report.membership[name] for name in names if name in report.membership]
    attacks = [figures.svc["confidence"].value for figures in known if "confidence" in figures.svc]
    return [number(_mean(figures.auc for figures in known)), percent(_mean(attacks))]


def alarms(report: AuditReport) -> tuple[str, ...]:
    """Return what must stand at the top: controls that misbehaved, in their own words."""
    return () if report.controls is None else report.controls.alarms


def notes(report: AuditReport) -> tuple[str, ...]:
    """Return what else the controls tell a reader."""
    return () if report.controls is None else report.controls.notes


def controls_table(report: AuditReport) -> Table | None:
    """Return what each control should get, what it got, and why."""
    if report.controls is None:
        return None
    rows = [
        [
            row.name,
            Cell(row.expected, "text"),
            Cell(row.observed, "text" if row.behaves else "text over"),
            Cell(row.reason, "wrap"),
        ]
        for row in report.controls.rows
    ]
    return table("Models of known nature, put through this audit", ("control", "expected", "found", "why"), rows)


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
