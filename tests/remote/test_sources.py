"""Inputs that lie on the Hub are fetched: from data sets, models and buckets, at a revision."""

import pytest
from huggingface_hub import HfApi

from unlearn_audit.errors import HubError
from unlearn_audit.remote.sources import dataset_named, fetched_file, is_remote_file

IDS = b"train-1\ntrain-2\n"


def fetch(hub, folder, source):
    return fetched_file(source, folder, endpoint=hub.url, token="hf_loopback")


def upload(hub, kind, content):
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("tester/private", repo_type=kind, exist_ok=True)
    return api.upload_file(
        path_or_fileobj=content, path_in_repo="requests/forget.txt", repo_id="tester/private", repo_type=kind
    ).oid


def test_a_file_of_a_data_set_or_a_model_is_fetched_at_a_revision(hub, tmp_path):
    for kind, root in (("dataset", "datasets/"), ("model", "")):
        old = upload(hub, kind, IDS)
        upload(hub, kind, IDS + b"train-3\n")
        newest = fetch(hub, tmp_path, f"hf://{root}tester/private/requests/forget.txt")
        assert newest.read_bytes() == IDS + b"train-3\n" and newest.suffix == ".txt"
        earlier = fetch(hub, tmp_path, f"hf://{root}tester/private@{old}/requests/forget.txt")
        assert earlier.read_bytes() == IDS and earlier != newest


def test_a_file_of_a_bucket_is_fetched(hub, tmp_path):
    hub.buckets["tester/inputs"] = {"a/forget.txt": IDS}
    assert fetch(hub, tmp_path, "hf://buckets/tester/inputs/a/forget.txt").read_bytes() == IDS


def test_a_file_of_this_machine_is_left_where_it_is(hub, tmp_path):
    assert str(fetch(hub, tmp_path / "new", "some/forget.txt")) == "some/forget.txt"
    assert not (tmp_path / "new").exists() and hub.requests == []


@pytest.mark.parametrize("source", ["hf://datasets/tester/none/forget.txt", "hf://datasets/tester/private/none.txt"])
def test_what_is_not_there_is_told_and_leaves_nothing(hub, tmp_path, source):
    upload(hub, "dataset", IDS)
    with pytest.raises(HubError, match=r"There is no (file|repository)"):
        fetch(hub, tmp_path, source)
    assert list(tmp_path.rglob("*.txt")) == []


def test_a_gated_data_set_is_told(hub, tmp_path):
    upload(hub, "dataset", IDS)
    hub.gate("tester/private")
    with pytest.raises(HubError, match="gated: ask for access"):
        fetch(hub, tmp_path, "hf://datasets/tester/private/requests/forget.txt")


@pytest.mark.parametrize(
    ("source", "is_file"),
    [
        ("hf://datasets/ann/p/a.parquet", True),
        ("hf://buckets/ann/p/a", True),
        ("hf://ann/model/predictions.npz", True),
        ("hf://ann/model@v1.0/best", False),
        ("hub:ann/model", False),
        ("datasets/ann/a.parquet", False),
    ],
)
def test_files_are_told_from_models(source, is_file):
    assert is_remote_file(source) is is_file


def test_a_folder_is_no_file(hub, tmp_path):
    upload(hub, "dataset", IDS)
    for source in ("hf://datasets/tester/private/requests", "hf://datasets/tester/private/requests/.."):
        with pytest.raises(HubError, match=r"(is a folder there|There is no)"):
            fetch(hub, tmp_path, source)
    assert list(tmp_path.rglob("*.txt")) == []


def test_a_whole_data_set_is_named_with_its_revision():
    assert dataset_named("hf://datasets/ann/digits@refs/pr/1") == ("ann/digits", "refs/pr/1")
    assert dataset_named("hf://datasets/ann/digits") == ("ann/digits", None)
    assert dataset_named("ann/digits") is None
    for wrong in ("hf://datasets/ann/digits/train.parquet", "hf://ann/digits", "hf://buckets/ann/digits"):
        with pytest.raises(HubError, match="a whole data set"):
            dataset_named(wrong)
