"""Where a model comes from is read from what it was loaded from, and kept beside what is made of it."""

import json
import shutil

import pytest
import yaml

from tests.models.checkpoints import with_classes
from tests.reporting.samples import make_images
from unlearn_audit.errors import ModelError
from unlearn_audit.models import create_model, load_model, save_model
from unlearn_audit.models.naming import Checkpoint
from unlearn_audit.models.origin import ORIGIN, Origin, hub_id


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return with_classes("vit", tmp_path_factory.mktemp("saved") / "vit")


@pytest.fixture
def folder(saved, tmp_path):
    """A folder of a model, to be changed."""
    return shutil.copytree(saved, tmp_path / "vit")


def write_card(folder, **metadata):
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(metadata)}---\n# A model\n")


def change_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_a_model_of_which_nothing_is_known_has_no_origin(folder, tmp_path):
    assert Origin.read(folder) == Origin()
    assert Origin.of(create_model("resnet8", make_images().train, seed=0)) == Origin()
    save_model(load_model(folder), tmp_path / "out")
    assert not (tmp_path / "out" / ORIGIN).exists()


def test_what_a_folder_s_card_says_goes_on_to_what_is_made_of_it(folder, tmp_path):
    write_card(folder, license="other", license_name="own", license_link="LICENSE", base_model=["ann/vit"])
    save_model(load_model(folder), tmp_path / "first")
    save_model(load_model(tmp_path / "first"), tmp_path / "second")
    assert Origin.read(tmp_path / "second") == Origin("ann/vit", "other", "own", "LICENSE")


def test_an_earlier_origin_does_not_outlive_its_model(folder, saved, tmp_path):
    write_card(folder, base_model="ann/vit")
    save_model(load_model(folder), tmp_path / "out", unchanged=True)
    assert Origin.read(tmp_path / "out") == Origin("ann/vit", unchanged=True)
    save_model(load_model(saved), tmp_path / "out")
    assert Origin.read(tmp_path / "out") == Origin()


@pytest.mark.parametrize(
    "card", ["---\n: [\n---\n", "---\n- a\n- b\n---\n", "no metadata", "---\nbase_model: [a/b, c/d]\n---\n"]
)
def test_a_card_that_says_nothing_of_use_is_no_error(folder, card):
    (folder / "README.md").write_text(card)
    assert Origin.read(folder) == Origin()


def test_a_configuration_names_where_it_was_loaded_from(folder):
    change_config(folder, _name_or_path="ann/vit")
    assert Origin.read(folder).base_model == "ann/vit"
    change_config(folder, _name_or_path=str(folder))
    assert Origin.read(folder) == Origin()


def test_timm_names_its_checkpoint_by_architecture_and_tag(folder):
    change_config(folder, architecture="resnet50", pretrained_cfg={"hf_hub_id": "timm/", "tag": "a1_in1k"})
    assert Origin.read(folder).base_model == "timm/resnet50.a1_in1k"
    change_config(folder, pretrained_cfg={"hf_hub_id": "ann/net"})
    assert Origin.read(folder).base_model == "ann/net"


def test_a_snapshot_in_the_hub_s_cache_is_its_repository(saved, tmp_path):
    snapshot = shutil.copytree(saved, tmp_path / "models--ann--vit" / "snapshots" / "0123abc")
    assert Origin.read(snapshot) == Origin("ann/vit", unchanged=True)
    assert Origin.of(load_model(snapshot)) == Origin("ann/vit")


def test_random_weights_come_from_nowhere(folder):
    write_card(folder, license="mit", base_model="ann/vit")
    images = make_images().train
    assert Origin.of(create_model(folder, images, seed=0)) == Origin("ann/vit", "mit")
    assert Origin.of(create_model(folder, images, seed=0, pretrained=False)) == Origin()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ann/vit", "ann/vit"),
        ("hub:ann/vit@refs/pr/1", "ann/vit"),
        ("hf://ann/vit@v2/best", "ann/vit"),
        ("vit", None),
        ("/home/ann/vit", None),
        ("./vit", None),
        ("a/b/c", None),
        ("hf://datasets/ann/vit", None),
        (["ann/vit"], None),
        (r"C:\models/vit", None),
    ],
)
def test_ids_of_the_hub_are_told_from_paths(name, found):
    assert hub_id(name) == found


def test_a_model_on_the_hub_is_named_in_three_ways():
    assert Checkpoint.of("hub:ann/vit@refs/pr/1") == Checkpoint("ann/vit", "refs/pr/1")
    assert Checkpoint.of("hf://models/ann/vit@v2/best/one") == Checkpoint("ann/vit", "v2", "best/one")
    assert Checkpoint.of("hf://ann/vit") == Checkpoint.of("hub:ann/vit") == Checkpoint.of("ann/vit")
    for wrong in ("hub:vit", "hf://vit", "hf://datasets/ann/vit", "hf://buckets/ann/vit/a"):
        with pytest.raises(ModelError, match=r"Expected a model, hf://USER/NAME"):
            Checkpoint.of(wrong)
