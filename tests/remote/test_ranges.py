"""Parquet on the Hub and on S3-compatible stores is read by ranges: the same report, fewer bytes, nothing kept."""

import dataclasses
import json
import tempfile

import huggingface_hub.constants
import numpy as np
import pytest
from aiohttp import web
from huggingface_hub import HfApi
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from tests.made_up_audit import made_up
from tests.publishing.loopback import Fault
from tests.remote.loopback_s3 import KEY, SECRET, LoopbackS3
from unlearn_audit import audit, verify
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import AuditError, HubError, PredictionsError, StoreError
from unlearn_audit.predictions import Predictions, PredictionsFile, open_predictions
from unlearn_audit.saved.manifest import read_manifest

REFERENCES = ("retrained-1", "retrained-2", "retrained-3")
NAMES = ("unlearned", "original", *REFERENCES)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with files of predictions that are mostly embeddings, and ids to forget."""
    folder = tmp_path_factory.mktemp("made")
    for seed, name in enumerate(NAMES):
        found = made_up(seed, damage=4 * (name == "unlearned"))
        wide = np.concatenate([found.embeddings, np.random.default_rng(seed).normal(size=(len(found), 507))], axis=1)
        dataclasses.replace(found, embeddings=wide.astype(np.float32)).save(folder / f"{name}.parquet")
    train = found.splits == "train"
    (folder / "forget.txt").write_text("\n".join(found.example_ids[train & (found.labels == 0)][::2]))
    return folder


@pytest.fixture
def store(made, monkeypatch):
    """An S3-compatible store that holds the files, where the environment says that it is."""
    with LoopbackS3() as store:
        store.buckets["audits"] = {f"2026/seed=1/{path.name}": path.read_bytes() for path in made.iterdir()}
        for name, value in store.settings().items():
            monkeypatch.setenv(name, value)
        yield store


@pytest.fixture
def lying(request, made, hub, store, monkeypatch):
    """Where the files lie (`s3`, `datasets` or `buckets`), and what served them."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    if request.param == "s3":
        return "s3://audits/2026/seed=1", store
    if request.param == "buckets":
        hub.buckets["ann/bucket"] = {path.name: path.read_bytes() for path in made.iterdir()}
        return "hf://buckets/ann/bucket", hub
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("ann/files", repo_type="dataset")
    api.upload_folder(repo_id="ann/files", folder_path=made, repo_type="dataset")
    return "hf://datasets/ann/files", hub


def audited(place, output, *more, forget=None):
    """Run `audit` on the files at a place, and return what it did."""
    line = ["audit", "--candidate", f"{place}/unlearned.parquet", "--original", f"{place}/original.parquet"]
    line += [part for name in REFERENCES for part in ("--reference", f"{name}={place}/{name}.parquet")]
    line += ["--forget", forget or f"{place}/forget.txt", "--output", output, "--set", "neighbourhood.number=4", *more]
    return CliRunner().invoke(app, [str(part) for part in line])


def figures(folder):
    """Return all that a report says but when and by what it was made."""
    return {k: v for k, v in json.loads(AuditReport.load(folder).to_json()).items() if k != "provenance"}


@pytest.mark.slow
@pytest.mark.parametrize("lying", ["s3", "datasets", "buckets"], indirect=True)
def test_the_report_is_that_of_local_files_and_embeddings_of_others_are_not_moved(lying, made, tmp_path, monkeypatch):
    place, server = lying
    assert audited(made, tmp_path / "here").exit_code == 0
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server.served = 0
    shown = audited(place, tmp_path / "there")
    assert shown.exit_code == 0, shown.output
    assert figures(tmp_path / "there") == figures(tmp_path / "here")
    sizes = [(made / f"{name}.parquet").stat().st_size for name in NAMES]
    assert server.served < sum(sizes) / 2  # one model's embeddings of five are needed
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "here" not in path.parts]
    assert max(path.stat().st_size for path in written if path.suffix == ".parquet") < min(sizes) / 10
    assert not list((tmp_path / "there" / "inputs").rglob("*.parquet"))


@pytest.mark.slow
@pytest.mark.parametrize("lying", ["s3", "datasets", "buckets"], indirect=True)
def test_verify_reads_them_again_and_says_what_it_cannot_hash(lying, tmp_path):
    place, _ = lying
    audited(place, tmp_path / "report")
    found = verify(tmp_path / "report")
    assert found.differences == () and found.figures > 1000
    (told,) = found.not_checked
    assert "were not hashed here: predictions of unlearned" in told


@pytest.mark.slow
def test_the_manifest_names_what_the_store_calls_the_content(store, made, tmp_path):
    audited("s3://audits/2026/seed=1", tmp_path / "report")
    manifest = read_manifest(tmp_path / "report")
    assert manifest.request.candidates["unlearned"].predictions == ("s3://audits/2026/seed=1/unlearned.parquet",)
    assert manifest.inputs["predictions of unlearned"].startswith("etag:")
    store.buckets["audits"]["2026/seed=1/unlearned.parquet"] = (made / "original.parquet").read_bytes()
    del store.buckets["audits"]["2026/seed=1/retrained-1.parquet"]
    told = "\n".join(verify(tmp_path / "report").differences)
    assert "predictions of unlearned: unlearned.parquet has the hash etag:" in told
    assert "predictions of retrained-1: There is no file" in told


@pytest.mark.slow
@pytest.mark.parametrize("lying", ["datasets"], indirect=True)
def test_a_report_of_files_on_the_hub_names_their_commit_and_stays_true(lying, made, tmp_path):
    place, hub = lying
    audited(place, tmp_path / "report")
    manifest = read_manifest(tmp_path / "report")
    commit = hub.repositories["datasets", "ann/files"].head().oid
    assert manifest.request.candidates["unlearned"].predictions == (
        f"hf://datasets/ann/files@{commit}/unlearned.parquet",
    )
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.upload_file(
        path_or_fileobj=(made / "original.parquet").read_bytes(),
        path_in_repo="unlearned.parquet",
        repo_id="ann/files",
        repo_type="dataset",
    )
    assert verify(tmp_path / "report").differences == ()


@pytest.mark.slow
def test_a_bundle_holds_them_whole_and_needs_no_store(store, tmp_path):
    assert audited("s3://audits/2026/seed=1", tmp_path / "report", "--bundle").exit_code == 0
    store.buckets.clear()
    found = verify(tmp_path / "report")
    assert (found.differences, found.not_checked) == ((), ())


@pytest.mark.slow
def test_python_takes_them_too(store, made, tmp_path):
    place = "s3://audits/2026/seed=1"
    references = [f"{place}/{name}.parquet" for name in REFERENCES]
    found = audit(f"{place}/unlearned.parquet", references, made / "forget.txt", original=f"{place}/original.parquet")
    local = [made / f"{name}.parquet" for name in REFERENCES]
    here = audit(made / "unlearned.parquet", local, made / "forget.txt", original=made / "original.parquet")
    assert found.report.results == here.report.results
    found.save(tmp_path / "report")
    assert verify(tmp_path / "report").differences == ()
    assert Predictions.load(references[0]).logits.shape == (800, 5)


@pytest.mark.slow
def test_what_is_sealed_there_is_what_is_audited(store, made, tmp_path):
    place, seal = "s3://audits/2026/seed=1", tmp_path / "seal.json"
    references = [part for name in REFERENCES for part in ("--reference", f"{name}={place}/{name}.parquet")]
    line = ["seal", *references, "--original", f"{place}/original.parquet", "--forget", f"{place}/forget.txt"]
    sealed = CliRunner().invoke(app, [*line, "--set", "neighbourhood.number=4", "--output", str(seal)])
    assert sealed.exit_code == 0, sealed.output
    assert audited(place, tmp_path / "report", "--seal", seal).exit_code == 0
    store.buckets["audits"]["2026/seed=1/retrained-2.parquet"] = (made / "original.parquet").read_bytes()
    shown = audited(place, tmp_path / "other", "--seal", seal)
    assert isinstance(shown.exception, AuditError) and "retrained-2 is not the file" in str(shown.exception)


def test_other_formats_are_fetched_whole(store, made):
    found = Predictions.load(made / "original.parquet")
    rows = {"example_id": found.example_ids, "split": found.splits, "label": found.labels, "logits": found.logits}
    with tempfile.TemporaryFile() as file:
        np.savez(file, **rows)
        file.seek(0)
        store.buckets["audits"]["original.npz"] = file.read()
    assert np.array_equal(open_predictions("s3://audits/original.npz").logits, found.logits)


def test_a_connection_that_breaks_is_tried_again(store, made):
    store.cuts = 2
    found = PredictionsFile("s3://audits/2026/seed=1/unlearned.parquet")
    here = PredictionsFile(made / "unlearned.parquet")
    store.cuts = 1
    assert np.array_equal(np.concatenate([*found.logit_chunks(100)]), np.concatenate([*here.logit_chunks(100)]))
    assert store.cuts == 0


@pytest.mark.parametrize("lying", ["datasets"], indirect=True)
def test_the_hub_is_asked_again_where_a_connection_breaks(lying, made):
    place, hub = lying
    hub.fail(Fault("GET", "unlearned.parquet", times=2, skip=1))
    found = PredictionsFile(f"{place}/unlearned.parquet")
    assert np.array_equal(found.load_embeddings(), PredictionsFile(made / "unlearned.parquet").load_embeddings())


@pytest.mark.slow
def test_a_store_that_is_gone_or_overloaded_is_told(store, monkeypatch):
    source = PredictionsFile("s3://audits/2026/seed=1/unlearned.parquet")
    store.status = 503
    with pytest.raises(StoreError, match="answered SERVICE_UNAVAILABLE"):
        list(source.logit_chunks(100))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:9 cannot be reached"):
        PredictionsFile("s3://audits/2026/seed=1/unlearned.parquet")


@pytest.mark.parametrize("key", ["none/x.parquet", "audits/none.parquet"])
def test_no_such_bucket_or_key_is_told(store, key):
    with pytest.raises(StoreError, match=rf"There is no file 's3://{key}' at 127.0.0.1:\d+: no such bucket or key"):
        open_predictions(f"s3://{key}")


def test_no_login_and_a_wrong_one_are_told(store, monkeypatch):
    source = "s3://audits/2026/seed=1/unlearned.parquet"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    with pytest.raises(StoreError, match=r"refused this login \(ACCESS_DENIED\)") as told:
        open_predictions(source)
    assert "AKIAOTHER" not in str(told.value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
    with pytest.raises(StoreError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"):
        open_predictions(source)


def test_a_file_that_changes_between_two_reads_is_told(store, made):
    source = PredictionsFile("s3://audits/2026/seed=1/unlearned.parquet")
    store.buckets["audits"]["2026/seed=1/unlearned.parquet"] = (made / "original.parquet").read_bytes()
    with pytest.raises(StoreError, match=r"unlearned.parquet changed while it was read"):
        list(source.logit_chunks(100))
    other = PredictionsFile("s3://audits/2026/seed=1/unlearned.parquet")
    store.buckets["audits"]["2026/seed=1/unlearned.parquet"] = b"x" * 5_000_000  # no Parquet any more
    with pytest.raises(StoreError, match=r"unlearned.parquet changed while it was read"):
        list(other.logit_chunks(100))


def test_what_is_no_parquet_is_told(store):
    store.buckets["audits"]["x.parquet"] = b"x" * 1000
    with pytest.raises(PredictionsError, match="Expected a Parquet file of predictions"):
        open_predictions("s3://audits/x.parquet")


@pytest.mark.parametrize("lying", ["datasets"], indirect=True)
def test_a_hub_that_serves_no_ranges_is_told(lying, monkeypatch):
    place, hub = lying
    monkeypatch.setattr(type(hub), "_content", lambda self, request, content, more: web.Response(body=content))
    with pytest.raises(HubError, match="does not serve ranges"):
        open_predictions(f"{place}/unlearned.parquet")


@pytest.mark.parametrize(
    "source",
    [
        "https://audits.example.com/x.parquet?X-Amz-Credential=AKIAX&X-Amz-Signature=abc123",
        "s3://AKIAX:abc123@audits/x.parquet",
        "s3://audits/x.parquet?secret_key=abc123",
        "s3://audits/",
        "s3://x.parquet",
    ],
)
def test_addresses_with_a_login_or_a_signature_are_refused_and_not_repeated(source, made, tmp_path):
    for named in (source, f"unlearned={source}"):
        line = ["audit", "--candidate", named, "--reference", "x.parquet", "--forget", str(made / "forget.txt")]
        shown = CliRunner().invoke(app, [*line, "--output", str(tmp_path / "report")])
        assert isinstance(shown.exception, StoreError)
        assert "abc123" not in f"{shown.exception}{shown.output}" and "AKIAX" not in f"{shown.exception}{shown.output}"
    with pytest.raises(StoreError):
        open_predictions(source)


@pytest.mark.slow
def test_nothing_of_a_login_stands_in_a_report(store, tmp_path, monkeypatch):
    audited("s3://audits/2026/seed=1", tmp_path / "report")
    everything = b"".join(path.read_bytes() for path in (tmp_path / "report").rglob("*") if path.is_file())
    assert SECRET.encode() not in everything and KEY.encode() not in everything
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{KEY}:{SECRET}@127.0.0.1:9")
    with pytest.raises(StoreError, match="without a login") as told:
        open_predictions("s3://audits/x.parquet")
    assert SECRET not in str(told.value)


@pytest.mark.slow
def test_a_benchmark_takes_a_candidate_of_a_store(store, tmp_path):
    assert CliRunner().invoke(app, ["benchmark", "digits", "--output", str(tmp_path / "made")]).exit_code == 0
    one, *_ = sorted((tmp_path / "made").rglob("originals/*.parquet"))
    store.buckets["audits"]["mine.parquet"] = one.read_bytes()
    rows = []
    for place, folder in ((one, "here"), ("s3://audits/mine.parquet", "there")):
        line = ["benchmark", "digits", "--candidate", f"mine={place}", "--references", "3"]
        assert CliRunner().invoke(app, [*line, "--output", str(tmp_path / folder)]).exit_code == 0
        rows.append(figures(tmp_path / folder)["results"])
    assert rows[0] == rows[1]
