"""Licence and base model of a card are inferred from where the model was loaded, and withheld where they tell."""

import dataclasses
import json
import shutil

import pytest
from huggingface_hub import HfApi, ModelCard

from tests.publishing.test_push import REPO, audit_again, fetch, send
from unlearn_audit.errors import AuditError
from unlearn_audit.models.origin import Origin
from unlearn_audit.predictions import Predictions
from unlearn_audit.publishing import publication
from unlearn_audit.publishing.attacks import Exposure
from unlearn_audit.publishing.checking import verify_published
from unlearn_audit.publishing.origins import relation_of
from unlearn_audit.saved.request import ModelFiles

pytestmark = pytest.mark.slow
BASE = "ann/original"


@pytest.fixture
def model(audited, tmp_path):
    """The candidate's folder, to be changed."""
    return shutil.copytree(audited.model_folder, tmp_path / "candidate")


def host(hub, card="---\nlicense: mit\n---\n", *, repo_id=BASE, private=False):
    """Put a model with this card on the Hub."""
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(repo_id, private=private)
    api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repo_id)


def card_of(hub):
    return ModelCard(hub.files(REPO)["README.md"].decode()).data


def change_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_base_model_and_licence_are_those_of_what_it_was_loaded_from(hub, audited, model):
    host(hub)
    Origin(BASE).write(model)
    sent = send(hub, audited, model_folder=model)
    card = card_of(hub)
    assert (card.base_model, card.base_model_relation, card.license) == (BASE, "finetune", "mit")
    assert sent.inferred == {"base_model": BASE, "license": "mit"}
    assert "origin.json" not in hub.files(REPO)


def test_what_is_given_wins(hub, audited, model):
    host(hub)
    Origin(BASE, "apache-2.0").write(model)
    sent = send(hub, audited, model_folder=model, license="bsd", base_model="bob/net")
    assert (card_of(hub).base_model, card_of(hub).license, sent.inferred) == ("bob/net", "bsd", {})
    send(hub, audited, model_folder=model, license="", base_model="")
    assert (card_of(hub).base_model, card_of(hub).license) == (None, None)
    assert not {"base_model_relation", "license"} & card_of(hub).to_dict().keys()


def test_the_model_s_own_card_comes_before_that_of_its_base(hub, audited, model):
    host(hub)
    Origin("bob/net").write(model)
    terms = "license: other\nlicense_name: own\nlicense_link: https://own.example"
    (model / "README.md").write_text(f"---\nbase_model: {BASE}\n{terms}\n---\nMine\n")
    send(hub, audited, model_folder=model)
    card = card_of(hub)
    assert (card.base_model, card.license, card.license_name) == (BASE, "other", "own")
    assert card.license_link == "https://own.example"
    assert "Mine" not in hub.files(REPO)["README.md"].decode()


def test_nothing_is_guessed(hub, audited, model):
    assert send(hub, audited, model_folder=model).inferred == {}
    assert not {"base_model", "base_model_relation", "license"} & card_of(hub).to_dict().keys()
    Origin("ann/gone").write(model)
    sent = send(hub, audited, model_folder=model)
    assert sent.inferred == {} and any("ann/gone, which the Hub does not show" in why for why in sent.withheld)
    assert "ann/gone" not in hub.files(REPO)["README.md"].decode()


def test_a_private_base_model_is_not_named_unasked(hub, audited, model):
    host(hub, private=True)
    Origin(BASE).write(model)
    sent = send(hub, audited, model_folder=model)
    assert sent.inferred == {"license": "mit"}
    assert any("private: --base-model names it" in why for why in sent.withheld)
    assert all(BASE.encode() not in content for content in hub.files(REPO).values())


def test_a_copy_has_the_base_model_of_what_it_was_copied_from(hub, audited, model):
    host(hub, f"---\nlicense: mit\nbase_model: {BASE}\n---\n", repo_id="ann/unlearned")
    Origin("ann/unlearned", unchanged=True).write(model)
    assert send(hub, audited, model_folder=model).inferred == {"base_model": BASE, "license": "mit"}


def test_no_model_is_its_own_base(hub, audited, model):
    host(hub, repo_id=REPO)
    Origin(REPO).write(model)
    assert send(hub, audited, model_folder=model).inferred == {"license": "mit"}


def test_timm_s_configuration_names_checkpoint_and_licence(hub, audited, model):
    """The licence is used where no card says one."""
    host(hub, "A model.", repo_id="timm/resnet8.a1")
    pretrained = json.loads((model / "config.json").read_text())["pretrained_cfg"]
    change_config(model, pretrained_cfg={**pretrained, "hf_hub_id": "timm/", "tag": "a1", "license": "cc-by-nc-4.0"})
    assert send(hub, audited, model_folder=model).inferred == {
        "base_model": "timm/resnet8.a1",
        "license": "cc-by-nc-4.0",
    }


def test_an_original_that_was_audited_on_the_hub_is_the_base_model(hub, audited, model, tmp_path):
    host(hub)
    original = Predictions.load(audited.folder.parent / "original.parquet")
    original = dataclasses.replace(original, metadata={**original.metadata, "model_id": f"hub:{BASE}@main"})
    original.save(tmp_path / "original.parquet")
    folder = audit_again(audited, tmp_path / "report", original=ModelFiles((str(tmp_path / "original.parquet"),)))
    assert send(hub, audited, folder=folder, model_folder=model).inferred == {"base_model": BASE, "license": "mit"}


def test_an_inferred_link_that_tells_who_was_forgotten_is_withheld(hub, audited, model, monkeypatch):
    host(hub)
    (model / "README.md").write_text(
        f"---\nbase_model: {BASE}\nlicense: other\nlicense_name: own\nlicense_link: https://hf.co/{BASE}\n---\n"
    )
    pretrained = json.loads((model / "config.json").read_text())["pretrained_cfg"]
    change_config(model, pretrained_cfg={**pretrained, "hf_hub_id": BASE})
    leak = Exposure("differencing", "The base model that the card links", 1.0, 0.75, True, "base_model")
    monkeypatch.setattr(publication, "exposures", lambda target: [leak] if target.linked else [])
    sent = send(hub, audited, model_folder=model)
    assert any("link to the base model" in why for why in sent.withheld)
    assert sent.inferred == {"license": "other", "license_name": "own"}
    assert [path for path, content in hub.files(REPO).items() if BASE.encode() in content] == []
    assert verify_published(fetch(hub) / "audit").differences == ()
    send(hub, audited, model_folder=model, accept_exposure=True)
    assert card_of(hub).base_model == BASE and BASE.encode() in hub.files(REPO)["config.json"]

    monkeypatch.setattr(publication, "names_its_base", lambda files: True)
    with pytest.raises(AuditError, match="Publish merged weights"):
        send(hub, audited, model_folder=model)


def test_a_path_of_this_machine_in_the_configuration_stays_here(hub, audited, model):
    change_config(model, _name_or_path="/home/jane_doe/original")
    send(hub, audited, model_folder=model)
    assert json.loads(hub.files(REPO)["config.json"])["architecture"] == "resnet8"
    assert b"jane_doe" not in hub.files(REPO)["config.json"]
    assert verify_published(fetch(hub) / "audit").differences == ()


def test_the_relation_is_that_of_the_published_files(model):
    files = {"config.json": model / "config.json"}
    assert relation_of(files) == "finetune"
    assert relation_of({**files, "adapter_config.json": model / "adapter_config.json"}) == "adapter"
    change_config(model, quantization_config={"bits": 4})
    assert relation_of(files) == "quantized"
