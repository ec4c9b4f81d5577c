"""Repositories that are made to hurt who fetches them, and published reports that name files of the reader."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import HfApi

from tests.deadline import within
from tests.tiny import tiny_images, tiny_resnet
from unlearn_audit.errors import HubError, ModelError
from unlearn_audit.models import listing, load_model, save_model
from unlearn_audit.publishing.hub import pull
from unlearn_audit.remote.faults import explained
from unlearn_audit.remote.sources import fetched_file
from unlearn_audit.saved.manifest import PublishedModel, read_manifest
from unlearn_audit.saved.request import AuditRequest
from unlearn_audit.saved.verify import MODEL_FILES, verify

pytestmark = pytest.mark.slow

REPO = "tester/model"


@pytest.fixture
def files(hub, monkeypatch) -> dict[str, bytes]:
    """The files of a model repository, to be changed."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    HfApi(endpoint=hub.url, token=hub.token).create_repo(REPO)
    found = hub.files(REPO)
    found["config.json"] = b"{}"
    return found


def fetch(hub, only=MODEL_FILES):
    with within(20):
        return pull(REPO, only=only, endpoint=hub.url, token=hub.token)


def test_a_repository_that_says_it_is_larger_than_the_disk_is_not_fetched(hub, files, tmp_path) -> None:
    files["model.safetensors"] = b"small"
    hub.declared["model.safetensors"] = 1 << 60
    with pytest.raises(HubError, match=r"says that its files take 1,073,741,824\.0 GiB.*Free space there"):
        fetch(hub)
    assert not any("/resolve/" in path for _, path in hub.requests)
    with pytest.raises(HubError, match="says that its files take"):
        load_model(REPO)
    assert fetch(hub, only=["config.json"])


@pytest.mark.parametrize(
    "name", ["../../evil.json", "a/../../evil.json", "..\\evil.json", "C:evil.json", "\x1b[31m.json"]
)
def test_a_file_that_would_lie_elsewhere_is_refused_before_anything_is_fetched(hub, files, tmp_path, name) -> None:
    files[name] = b"evil"
    with pytest.raises(HubError, match="would lie in another folder") as error:
        fetch(hub, only=["*.json"])
    assert str(error.value).isprintable()
    assert not any("/resolve/" in path for _, path in hub.requests) and not list(tmp_path.rglob("evil*"))


def test_too_many_files_are_refused(hub, files, monkeypatch) -> None:
    monkeypatch.setattr(listing, "MOST_FILES", 3)
    files.update({f"{n}.json": b"{}" for n in range(5)})
    with pytest.raises(HubError, match="at most 3 files, got 6"):
        fetch(hub, only=["*.json"])


def test_a_file_that_says_it_is_larger_than_the_disk_is_not_fetched(hub, files, tmp_path, monkeypatch) -> None:
    files["forget.txt"] = b"train-1\n"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(HubError, match="was not fetched: it says"):
        fetched_file(f"hf://{REPO}/forget.txt", tmp_path / "here", endpoint=hub.url, token=hub.token)
    assert list((tmp_path / "here").iterdir()) == []


CODE = "open({marker!r}, 'w').write('run')\nclass X: pass\n"


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_code_that_comes_with_a_model_is_never_run(hub, files, tmp_path, name, monkeypatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # transformers would ask a person at a terminal
    folder, marker = tmp_path / "model", tmp_path / "marker"
    save_model(tiny_resnet(tiny_images(8)), folder)
    kinds = ("AutoConfig", "AutoModelForImageClassification", "AutoImageProcessor")
    content = json.loads((folder / name).read_text()) if (folder / name).exists() else {"image_processor_type": "X"}
    content |= {"model_type": "mine", "auto_map": dict.fromkeys(kinds, "code.X")}
    if name != "config.json":
        whole = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**whole, "model_type": "vit", "architectures": None}))
    (folder / name).write_text(json.dumps(content))
    (folder / "code.py").write_text(CODE.format(marker=str(marker)))
    files.update({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})
    for source in (str(folder), REPO, str(fetch(hub))):
        with within(20), pytest.raises(ModelError):
            load_model(source)
    assert not marker.exists()


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "no-such-architecture"},
        {"model_type": "bert"},
        {"model_type": "vit", "hidden_size": -1},
        {"model_type": "vit", "num_hidden_layers": "many"},
        {"model_type": "timm_wrapper", "architecture": "no_such_model"},
        {"model_type": "vit", "hidden_size": 10**9, "num_attention_heads": 1},
        {"model_type": "vit", "hidden_size": 10**5, "num_attention_heads": 1},
        [],
        None,
    ],
)
def test_an_architecture_that_is_unknown_or_absurd_is_refused(hub, files, config) -> None:
    files["config.json"] = json.dumps(config).encode()
    files["model.safetensors"] = (2).to_bytes(8, "little") + b"{}"
    with within(30), pytest.raises(ModelError):
        load_model(fetch(hub))


def test_a_hub_that_does_not_answer_in_time_is_told_with_advice() -> None:
    with pytest.raises(HubError, match=r"did not answer in time.*HF_HUB_DOWNLOAD_TIMEOUT"), explained(REPO):
        raise httpx2.ReadTimeout("The read operation timed out")


PUBLISHED = PublishedModel("candidate", {"config.json": "0" * 64})
ASTRAY = {
    "an output": {"outputs": {"../../../etc/passwd": "0" * 64}},
    "an absolute output": {"outputs": {"/etc/passwd": "0" * 64}},
    "a model's file": {"model": dataclasses.replace(PUBLISHED, files={"..\\x": "0" * 64})},
    "the model": {"model": dataclasses.replace(PUBLISHED, top="/etc")},
    "predictions": {"predictions": "../../elsewhere.parquet"},
}


@pytest.mark.parametrize("what", ASTRAY)
def test_a_published_report_that_names_files_elsewhere_is_not_followed(saved_report, tmp_path, what) -> None:
    changes = dict(ASTRAY[what])
    manifest = read_manifest(saved_report)
    place = changes.pop("predictions", "predictions/0.parquet")
    request: AuditRequest = manifest.request.with_each(lambda _, files: files.with_paths(lambda _, __: place))
    request = dataclasses.replace(request, forget="withheld")
    forged = dataclasses.replace(manifest, request=request, withheld=("retain", "forget"), model=PUBLISHED, outputs={})
    (tmp_path / "manifest.json").write_text(dataclasses.replace(forged, **changes).to_json())
    found = verify(tmp_path)
    assert found.files == 0 and all("so nothing was read" in difference for difference in found.differences)
    assert found.differences


@pytest.mark.parametrize("name", ["report.json", "examples.parquet"])
def test_a_report_s_file_that_is_a_link_to_a_device_is_named(report_folder, name) -> None:
    (report_folder / name).unlink()
    (report_folder / name).symlink_to("/dev/zero")
    with within(10):
        assert f"{name}: the file {name} is no plain file" in verify(report_folder).differences


def test_the_threat_model_says_so() -> None:
    told = (Path(__file__).parents[2] / "docs" / "threat-model.md").read_text()
    for line in ("names files of the reader's machine", "is made to hurt who fetches it", "made to fill the memory"):
        assert line in told
