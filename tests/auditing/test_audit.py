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
from unlearn_audit.auditing.report import AuditReport, GroupRecord, json_schema
from unlearn_audit.errors import AuditError, ConfigurationError, PredictionsError
from unlearn_audit.measures import registry
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions import Predictions
from unlearn_audit.saved.forgotten import Forgotten
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


def audited(whole: AuditSubject) -> AuditReport:
    return audit_subject(whole, neighbourhood_of(NeighbourhoodConfig(number=3), whole), measures=["js"]).report


def with_hash(predictions: Predictions, weights_hash: str) -> AuditedModel:
    metadata = {**predictions.metadata, "weights_hash": weights_hash}
    return AuditedModel((dataclasses.replace(predictions, metadata=metadata),))


def test_an_exact_copy_of_a_reference_lowers_k_and_is_told_in_a_note() -> None:
    references = {f"r{k}": with_hash(made_up(k), f"hash {k}") for k in range(4)}
    without = audited(subject(references=references))
    report = audited(subject(references={**references, "again": with_hash(made_up(1), "hash 1")}))
    assert (without.num_references, report.num_references) == (4, 4)
    assert "'again' has the same weights as 'r1' and is left out" in report.controls.notes[0]
    assert not any("left out" in note for note in without.controls.notes)
    assert not report.controls.withheld
    assert report.judgements == without.judgements and report.verdicts == without.verdicts


def test_copies_alone_are_no_three_retrained_models() -> None:
    copies = {f"r{k}": with_hash(made_up(1), "hash") for k in range(3)}
    report = audited(subject(references=copies))
    assert report.num_references == 1 and len(report.controls.notes) == 2
    assert report.verdicts["u"].outcome == "inconclusive" and report.verdicts["u"].references_needed == 3


def nearly(seed: int, copied: int) -> Predictions:
    """A copy of a model under another name, with noise on its logits."""
    model = made_up(copied)
    noise = 0.01 * np.random.default_rng(seed).normal(size=model.logits.shape).astype(np.float32)
    return dataclasses.replace(model, logits=model.logits + noise)


@pytest.mark.parametrize(("copied", "told"), [(0, "'r0' and 'new' are nearly one"), (52, "'new' is nearly the model")])
def test_a_reference_that_is_another_model_with_noise_withholds_all_verdicts(copied, told) -> None:
    references = {f"r{k}": AuditedModel((made_up(k),)) for k in range(3)}
    report = audited(subject(references={**references, "new": AuditedModel((nearly(7, copied),))}))
    assert told in report.controls.alarms[0]
    assert report.verdicts["u"].withheld and report.verdicts["u"].outcome == "inconclusive"
    assert told in report.verdicts["u"].reason
    assert all(judgement.withheld for judgement in report.judgements.values())
    assert report.judgements["u"].answers[0].outcome == "fail"  # what was found stays to be read


def test_a_reference_that_saw_the_forget_set_is_found() -> None:
    knows = made_up(3)
    logits = knows.logits.copy()
    whole = subject()
    forgotten = np.isin(knows.example_ids, list(whole.forget_ids))
    logits[forgotten, knows.labels[forgotten]] += 6
    references = {f"r{k}": AuditedModel((made_up(k),)) for k in range(3)}
    report = audited(
        subject(references={**references, "knows": AuditedModel((dataclasses.replace(knows, logits=logits),))})
    )
    assert any("'knows' recognises the deleted examples better" in alarm for alarm in report.controls.alarms)


def test_references_of_unequal_training_withhold_the_verdict() -> None:
    references = {f"r{k}": AuditedModel((made_up(k),), examples=1000 * (1 + (k == 2))) for k in range(3)}
    report = audited(subject(references=references))
    assert "not trained equally long" in report.controls.alarms[0] and report.verdicts["u"].withheld


def test_a_model_of_another_temperature_fails_and_is_told_that_its_decisions_agree() -> None:
    cool = made_up(50)
    softened = dataclasses.replace(cool, logits=cool.logits / 3)
    report = audited(subject(candidates={"soft": AuditedModel((softened,)), "same": AuditedModel((cool,))}))
    soft = report.judgements["soft"]
    assert soft.outcome == "fail"
    failing = [told for answer, told in zip(soft.answers, soft.sentences, strict=True) if answer.outcome == "fail"]
    assert failing and all("Its decisions there agree with theirs" in told for told in failing)
    assert report.judgements["same"].outcome != "fail"


@pytest.mark.parametrize("count", [1, 3, 12])
def test_a_request_of_few_examples_is_judged(count) -> None:
    """An original that knows them by heart fails; an honest model does not, and what is open is said with its reach."""
    references = {f"r{k}": AuditedModel((made_up(k, noise=0.1),)) for k in range(5)}
    first = made_up(0, noise=0.1)
    known = first.logits[:N_TRAIN, 0] - first.logits[:N_TRAIN, 1:].max(axis=1)
    same = np.flatnonzero(first.labels[:N_TRAIN] == 0)
    ids = [f"train-{i}" for i in same[np.argsort(known[same])][:count]]  # which other models know least
    original = made_up(52, noise=0.1)
    rows = np.flatnonzero(np.isin(original.example_ids, ids))
    logits = original.logits.copy()
    logits[rows] = -20
    logits[rows, original.labels[rows]] = 20
    whole = subject(
        candidates={"honest": AuditedModel((made_up(50, noise=0.1),))},
        references=references,
        original=AuditedModel((dataclasses.replace(original, logits=logits),)),
        forget_ids=ids,
    )
    report = audited(whole)
    assert report.groups[0] == GroupRecord("forget", "forgotten", count)
    answer = report.judgements["original"].answers[0]
    assert answer.findings[0].value == pytest.approx(1) and answer.findings[0].difference > 0.05
    assert answer.outcome == "fail" and answer.how == "remembers"
    honest = report.judgements["honest"].answers[0]
    assert honest.outcome != "fail"
    assert all(finding.detectable > 0 for finding in honest.findings)
    assert report.judgements["honest"].level_gone.value == pytest.approx(1, abs=0.3)
    assert AuditReport.from_json(report.to_json()) == report


def test_the_report_s_judgements_are_those_of_its_groups(tmp_path) -> None:
    found = run_audit(request_in(tmp_path), base=tmp_path)
    report, ledger = found.report, found.ledger.to_pandas()
    assert set(report.judgements) == {"honest", "damaged", "original", "untrained"}
    forget = ledger[ledger["population"] == "forget"]
    assert report.groups[0].count == len(forget) == report.forget_set.size
    for name, judgement in report.judgements.items():
        level = judgement.answers[0].findings[0]
        retrained = [forget[f"retrained-{k}.confidence"].mean() for k in range(4)]
        assert (level.group, level.kind) == ("forget", "level")
        assert level.value == pytest.approx(forget[f"{name}.confidence"].mean(), rel=1e-5)
        assert level.expected == pytest.approx(np.mean(retrained), rel=1e-5)
        assert judgement.answers[0].findings[1].value == pytest.approx(forget[f"{name}.discrepancy"].mean(), rel=1e-4)
        pairs = [len(answer.findings) for answer in judgement.answers]
        assert sum(pairs) == 2 * len(report.groups)


@pytest.mark.parametrize("where", ["candidates", "references", "class_names", "title", "forget_description"])
def test_a_lone_surrogate_in_any_name_is_refused_before_anything_is_computed(where) -> None:
    bad, model = "a\ud800b", AuditedModel((made_up(50),))
    models = {"candidates": {"a": model}, "references": {"b": model}}
    given = models | {where: {bad: model} if where in models else (bad,) if where == "class_names" else bad}
    title = given.pop("title", "title")
    subject = AuditSubject(given.pop("candidates"), given.pop("references"), forget_ids=("train-0",), **given)
    with pytest.raises(ConfigurationError, match="Unicode"):
        audit_subject(subject, None, title=title)


def test_metadata_and_ids_that_no_file_can_hold_are_refused() -> None:
    with pytest.raises(PredictionsError, match="Unicode in the metadata"):
        dataclasses.replace(made_up(0), metadata={"model_id": "\udcff"})
    with pytest.raises(AuditError, match="Unicode"):
        Forgotten.of(["\ud800"])
