"""The model card: one whole card, its metadata as the Hub's client reads it, and text from outside kept harmless."""

import dataclasses
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from tests.reporting.samples import make_first_report, make_report
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.reporting.card import CardFacts, card_text, write_card
from unlearn_audit.reporting.choices import PublishChoices

WHOLE_CARD = Path(__file__).parent / "whole_card.md"
CHOICES = PublishChoices(license="apache-2.0", base_model="user/original", datasets=("mnist",))


def card(report=None, candidate="gradient_ascent", choices=CHOICES, repo_id="user/forgetful"):
    choices = dataclasses.replace(choices, candidate=candidate)
    return card_text(report or make_report(), CardFacts(repo_id, choices))


def test_whole_card():
    found = card(candidate="local_teacher_distillation")
    assert found == WHOLE_CARD.read_text(encoding="utf-8")


def test_the_hubs_client_reads_the_metadata(tmp_path):
    choices = dataclasses.replace(CHOICES, candidate="gradient_ascent")
    path = write_card(make_report(), tmp_path / "README.md", CardFacts("user/forgetful", choices))
    data = ModelCard.load(path).data
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "image-classification"
    assert {"unlearn-audit", "machine-unlearning"} <= set(data.tags)
    assert (data.license, data.base_model, data.datasets) == ("apache-2.0", "user/original", ["mnist"])
    assert data.to_dict()["base_model_relation"] == "finetune"
    results = {result.metric_type: result.metric_value for result in data.eval_results}
    nearest = make_report().comparison("gradient_ascent", "retain", "js").strata[0]
    assert results["accuracy"] == pytest.approx(0.933)
    assert results["excess_js"] == pytest.approx(nearest.excess, abs=1e-6)


def test_the_metadata_says_the_three_answers_with_k(tmp_path):
    choices = dataclasses.replace(CHOICES, candidate="gradient_ascent")
    path = write_card(make_report(), tmp_path / "README.md", CardFacts("user/forgetful", choices))
    found = {result.metric_type: result for result in ModelCard.load(path).data.eval_results}
    told = [found[kind] for kind in ("forgotten", "neighbours_unharmed", "everything_else_unharmed")]
    assert [result.metric_value for result in told] == ["no: over-forgets", "no: loses confidence", "yes"]
    assert all(result.metric_name.endswith("K = 4") for result in told)


def test_without_a_verdict_the_card_answers_nothing():
    report = make_report()
    name = "gradient_ascent"
    reason = "No verdict is given. Two references are nearly one model."
    verdict = dataclasses.replace(report.verdicts[name], outcome="inconclusive", withheld=True, reason=reason)
    judgement = dataclasses.replace(report.judgements[name], outcome="inconclusive", withheld=True)
    found = card(dataclasses.replace(report, verdicts={name: verdict}, judgements={name: judgement}))
    assert f"**No verdict.** {reason}" in found
    assert "neighbours_unharmed" not in found and "over-forgets" not in found


def test_a_report_of_the_first_version_keeps_its_sentence():
    report = make_first_report()
    found = card(report)
    assert f"**Fail.** {report.verdicts['gradient_ascent'].reason}" in found
    assert "first version of the verdict" in found


def test_a_data_set_that_is_not_on_the_hub_is_not_claimed_to_be():
    assert "datasets:" not in card(choices=PublishChoices())
    data = dataclasses.replace(make_report().data, name="uoft-cs/cifar100")
    found = card(make_report(data=data), choices=PublishChoices())
    assert "datasets:\n- uoft-cs/cifar100\n" in found


@pytest.mark.parametrize("word", ["proof", "guarantee", "certified", "compliant"])
@pytest.mark.parametrize("candidate", ["gradient_ascent", "local_teacher_distillation"])
def test_a_card_never_claims_more_than_the_audit(word, candidate):
    assert word not in card(candidate=candidate).lower()


def test_text_from_outside_is_never_markup():
    names = ("<script>", *"12345678", "x")
    forget = dataclasses.replace(make_report().forget_set, description="<img src=x>|`*[a](b)\n\n# title")
    found = card(make_report(class_names=names, forget_set=forget))
    body = found.split("---\n", 2)[2]
    assert "<img" not in body
    assert "\n# title" not in body
    assert "&lt;img src=x&gt;\\|\\`\\*\\[a\\](b) # title" in body


def test_several_candidates_need_a_choice():
    with pytest.raises(ConfigurationError, match="Choose one: gradient_ascent, local_teacher"):
        card(candidate=None)
    with pytest.raises(ConfigurationError, match="Did you mean 'gradient_ascent'"):
        card(candidate="gradient_asent")


def test_where_the_ids_are_published_the_card_says_that_everything_can_be_checked():
    found = card(choices=dataclasses.replace(CHOICES, include_forget_ids=True))
    assert "every figure can be recomputed" in found
    assert "not published" not in found


def test_no_address_becomes_a_link_and_no_escape_character_is_kept():
    told = "see www.evil.example, HTTPS://evil.example, ftp://evil.example and me@evil.example \x1b[31m\u202egnp\ud800"
    forget = dataclasses.replace(make_report().forget_set, description=told)
    body = card(make_report(forget_set=forget)).split("---\n", 2)[2]
    body.encode()
    for link in ("www.", "HTTPS:/", "ftp:/", "me@evil"):
        assert link not in body
    assert not {"\x1b", "\u202e"} & set(body)
    assert "evil.example" in body and "[31m" in body.replace("\\", "")
