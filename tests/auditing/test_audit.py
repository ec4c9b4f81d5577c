"""The whole audit on made-up models whose truth is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.made_up_audit import N_TRAIN, made_up, request_in
from unlearn_audit.auditing.audit import audit_subject
from unlearn_audit.auditing.models import AuditedModel, AuditSubject
from unlearn_audit.auditing.neighbours import neighbourhood_of
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.report import AuditReport, json_schema
from unlearn_audit.errors import AuditError, ConfigurationError
from unlearn_audit.measures import registry
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.saved.running import run_audit


def test_damage_near_the_forget_set_fails_and_an_honest_model_does_not(tmp_path) -> None:
    report = run_audit(request_in(tmp_path), base=tmp_path).report
    assert report.verdicts["damaged"].outcome == "fail"
    assert report.verdicts["honest"].outcome != "fail"
    ratios = [s.ratio for s in report.comparison("damaged", "test", "js").strata]
    assert ratios[0] > 2 * ratios[-1]
    assert report.comparison("honest", "retain", "js").overall.ratio == pytest.approx(1, abs=0.2)
    assert not report.controls.withheld


def test_figures_equal_plain_masks(tmp_path) -> None:
    found = run_audit(request_in(tmp_path), base=tmp_path)
    ledger = found.ledger.to_pandas()
    js = registry.create("js")
    labels = made_up(0).labels
    pairs = [js.of_logits(made_up(51, damage=4).logits, made_up(k).logits, labels).numpy() for k in range(4)]
    expected = np.mean(pairs, axis=0)
    np.testing.assert_allclose(ledger["damaged.discrepancy"], expected, atol=1e-5)
    for population in ("retain", "forget", "test"):
        for index, stratum in enumerate(found.report.comparison("damaged", population, "js").strata):
            rows = (ledger["population"] == population) & (ledger["stratum"] == index)
            assert stratum.count == rows.sum()
            if rows.sum() >= 30:
                assert stratum.discrepancy == pytest.approx(expected[rows].mean(), rel=1e-4)
    assert (ledger["population"] == "forget").sum() == found.report.forget_set.size
    assert found.report.forget_set.class_counts == {"0": found.report.forget_set.size}
    assert (ledger["example_id"] == made_up(0).example_ids).all()


def test_consensus_flip_counts_only_examples_on_which_references_agree(tmp_path) -> None:
    found = run_audit(request_in(tmp_path), base=tmp_path)
    retain = found.ledger.to_pandas().query("population == 'retain'")
    correct = np.stack([retain[f"retrained-{k}.top1"] == retain["label"] for k in range(4)])
    agree = correct.all(axis=0) | ~correct.any(axis=0)
    overall = found.report.comparison("damaged", "retain", "consensus_flip").overall
    assert 0 < overall.count == agree.sum() < len(retain)
    mine = retain["damaged.top1"] == retain["label"]
    assert overall.discrepancy == pytest.approx((mine != correct[0])[agree].mean())
    others = correct[1:].all(axis=0) | ~correct[1:].any(axis=0)
    posing = found.report.comparison("retrained-0", "retain", "consensus_flip").overall
    assert posing.count == others.sum()
    assert posing.discrepancy == pytest.approx((correct[0] != correct[1])[others].mean())


def test_json_round_trip_is_exact(tmp_path) -> None:
    report = run_audit(request_in(tmp_path), base=tmp_path).report
    assert AuditReport.from_json(report.to_json()) == report
    assert AuditReport.from_json(report.to_json()).to_json() == report.to_json()
    assert "AuditReport" in str(json_schema())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('"schema_version": 2', '"schema_version": 3'),
        ('"title": "Unlearning audit"', '"title": 3'),
    ],
)
def test_a_report_of_another_form_is_refused(tmp_path, change, message) -> None:
    text = run_audit(request_in(tmp_path), base=tmp_path).report.to_json()
    assert change in text
    with pytest.raises(AuditError, match="schema"):
        AuditReport.from_json(text.replace(change, message))


@pytest.mark.parametrize("references", [1, 2])
def test_one_or_two_references_say_what_they_cannot_say(tmp_path, references) -> None:
    report = run_audit(request_in(tmp_path, references), base=tmp_path).report
    first = report.comparison("damaged", "retain", "js").strata[0]
    assert first.discrepancy > 0
    assert (first.floor is None) == (references == 1)
    assert first.p_value is None and first.lower is None
    assert report.verdicts["damaged"].outcome == "inconclusive"
    assert report.verdicts["damaged"].references_needed >= 3
    assert AuditReport.from_json(report.to_json()) == report


def subject(**changes) -> AuditSubject:
    def model(*seeds: int, **kwargs) -> AuditedModel:
        return AuditedModel(tuple(made_up(seed, **kwargs) for seed in seeds))

    values = {
        "candidates": {"u": model(51, 54, damage=4)},
        "references": {f"r{k}": model(k) for k in range(3)},
        "original": model(52),
        "forget_ids": [f"train-{i}" for i in np.flatnonzero(made_up(0).labels[:N_TRAIN] == 0)[:40]],
    }
    return AuditSubject(**{**values, **changes})


def test_several_seeds_of_a_candidate_are_averaged() -> None:
    both = subject()
    report = audit_subject(both, neighbourhood_of(NeighbourhoodConfig(number=3), both), measures=["js"]).report
    comparison = report.comparison("u", "retain", "js")
    assert comparison.num_candidates == 2
    singles = []
    for seed in (51, 54):
        one = subject(candidates={"u": AuditedModel((made_up(seed, damage=4),))})
        found = audit_subject(one, neighbourhood_of(NeighbourhoodConfig(number=3), one), measures=["js"]).report
        singles.append(found.comparison("u", "retain", "js").strata[0].discrepancy)
    assert comparison.strata[0].discrepancy == pytest.approx(np.mean(singles), rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forget_ids": ["train-0", "train-99999"]}, "train-99999"),
        ({"forget_ids": ["test-3"]}, "test-3"),
        ({"forget_ids": []}, "at least one example"),
        ({"original": None}, "Expected embeddings"),
    ],
)
def test_bad_subjects_are_refused(changes, message) -> None:
    wrong = subject(**changes)
    if changes == {"original": None}:
        wrong = dataclasses.replace(wrong)
    with pytest.raises(AuditError, match=message):
        neighbourhood_of(NeighbourhoodConfig(), wrong)


def test_names_are_unique_and_measures_known() -> None:
    with pytest.raises(AuditError, match="'r0' more than once"):
        subject(candidates={"r0": AuditedModel((made_up(9),))})
    with pytest.raises(AuditError, match="at least one candidate"):
        subject(candidates={})
    whole = subject()
    with pytest.raises(ConfigurationError, match="Did you mean 'js'"):
        audit_subject(whole, neighbourhood_of(NeighbourhoodConfig(), whole), measures=["jss"])


@pytest.mark.parametrize("measure", ["consensus_flip", "confidence_gap"])
def test_a_policy_s_measure_needs_a_noise_floor(measure) -> None:
    whole = subject()
    with pytest.raises(ConfigurationError, match="noise floor between retrained models, got"):
        audit_subject(whole, neighbourhood_of(NeighbourhoodConfig(), whole), Policy(measure=measure))
