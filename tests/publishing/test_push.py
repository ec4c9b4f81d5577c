"""Pushing to and pulling from a Hub that imitates the real one, and that fails on the way."""

import dataclasses
import io
import json
import shutil

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi, ModelCard

from tests.publishing.loopback import Fault
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import AuditError, HubError
from unlearn_audit.files import sha256
from unlearn_audit.publishing.hub import Destination, pull, push
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.saved.verify import verify

pytestmark = pytest.mark.slow
REPO = "tester/forgetful"


def send(hub, audited, *, repo_id=REPO, private=False, revision=None, model_folder=None, folder=None, **choices):
    to = Destination(repo_id, private=private, revision=revision, endpoint=hub.url, token="hf_loopback")
    return push(
        folder or audited.folder,
        to,
        model_folder=model_folder or audited.model_folder,
        choices=PublishChoices(**choices),
    )


def fetch(hub, revision=None):
    return pull(f"hub:{REPO}", revision=revision, endpoint=hub.url, token="hf_loopback")


def test_a_push_is_one_commit_with_model_card_and_audit(hub, audited):
    result = send(hub, audited)
    (commit,) = hub.commits(REPO)
    assert (commit.oid, commit.title) == (result.commit, commit.title)
    assert "Publish candidate with its audit" in commit.title
    assert set(result.files) == set(commit.files) - {".gitattributes"}
    assert {"config.json", "model.safetensors", "README.md"} <= set(commit.files)
    assert {f"audit/{n}" for n in ("report.json", "report.html", "examples.parquet", "manifest.json")} <= set(
        commit.files
    )
    assert {path.rpartition(".")[2] for path in result.files} == {"json", "safetensors", "md", "html", "parquet"}
    assert result.files["model.safetensors"] == len(commit.files["model.safetensors"])


def rows(content):
    return pq.read_table(io.BytesIO(content))


def test_nothing_tells_who_was_forgotten(hub, audited):
    result = send(hub, audited)
    assert any("forget set" in reason for reason in result.withheld)
    for path, content in hub.files(REPO).items():
        if path.endswith(".parquet"):
            table = rows(content)
            assert set(table["split"].to_pylist()) == {"test"}, path
            assert "nearest_forget_id" not in table.column_names
            assert not [name for name in table.column_names if name.endswith(".remembered")]
            assert "embedding" not in table.column_names
        if path.endswith((".json", ".md", ".html")):
            assert "train-" not in content.decode(), path
            assert "seed 0" not in content.decode(), path
            assert str(audited.folder.parent) not in content.decode(), path
    report = AuditReport.from_json(hub.files(REPO)["audit/report.json"].decode())
    assert report.forget_set.hash == audited.forget.hash
    assert report.forget_set.size == len(audited.forget)
    assert report.provenance.configuration == {}
    assert report.results == AuditReport.load(audited.folder).results


def test_with_the_ids_everything_is_published_and_can_be_computed_again(hub, audited):
    assert not any("ids" in reason for reason in send(hub, audited, include_forget_ids=True).withheld)
    found = verify(fetch(hub) / "audit")
    assert found.differences == ()
    assert found.not_checked == ()
    assert found.figures > 1000


def test_what_was_pushed_can_be_fetched_and_checked(hub, audited):
    send(hub, audited)
    folder = fetch(hub)
    assert (folder / "model.safetensors").read_bytes() == (audited.model_folder / "model.safetensors").read_bytes()
    found = verify(folder / "audit")
    assert found.differences == ()
    assert "retain" in found.not_checked[0]
    assert found.figures > 500  # all comparisons on the test set, computed again from what was published


def test_an_edited_figure_in_a_published_report_is_named(hub, audited, tmp_path):
    send(hub, audited)
    folder = tmp_path / "audit"
    shutil.copytree(fetch(hub) / "audit", folder)
    report = json.loads((folder / "report.json").read_text())
    place = next(i for i, r in enumerate(report["results"]) if (r["model"], r["population"]) == ("candidate", "test"))
    report["results"][place]["comparison"]["strata"][0]["discrepancy"] *= 0.5
    (folder / "report.json").write_text(json.dumps(report))
    seal_outputs(folder)
    (difference, *_) = verify(folder).differences
    assert difference.startswith(f"report.json /results/{place}/comparison/strata/0/discrepancy: saved")


def test_an_edited_verdict_in_a_published_report_is_named(hub, audited, tmp_path):
    send(hub, audited)
    folder = tmp_path / "audit"
    shutil.copytree(fetch(hub) / "audit", folder)
    report = json.loads((folder / "report.json").read_text())
    was = report["verdicts"]["candidate"]["outcome"]
    report["verdicts"]["candidate"]["outcome"] = "pass" if was == "fail" else "fail"
    (folder / "report.json").write_text(json.dumps(report))
    seal_outputs(folder)
    (difference,) = verify(folder).differences  # though most of what the verdict rests on is withheld
    assert difference.startswith("report.json /verdicts/candidate/outcome: saved") and repr(was) in difference


def test_a_missing_file_of_a_published_report_is_named(hub, audited, tmp_path):
    send(hub, audited)
    folder = tmp_path / "audit"
    shutil.copytree(fetch(hub) / "audit", folder)
    (folder / "predictions" / "candidate-0.parquet").unlink()
    found = verify(folder)
    assert any("predictions/candidate-0.parquet" in d and "missing" in d for d in found.differences)
    assert "withheld, not checked" in found.not_checked[0]


def seal_outputs(folder):
    """Make the manifest fit what is in the folder, as a forger would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["outputs"] = {name: sha256(folder / name) for name in manifest["outputs"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_the_card_is_the_audits(hub, audited):
    send(hub, audited, license="mit", base_model="tester/original")
    card = ModelCard(hub.files(REPO)["README.md"].decode())
    assert (card.data.license, card.data.base_model) == ("mit", "tester/original")
    assert "import unlearn_audit.models" in card.text  # resnet8 is registered by this package
    assert f'from_pretrained("{REPO}")' in card.text


def test_dry_run_asks_the_hub_nothing(hub, audited):
    to = Destination(REPO, endpoint=hub.url, token="hf_loopback")
    result = push(audited.folder, to, model_folder=audited.model_folder, dry_run=True)
    assert hub.requests == []
    assert (result.commit, result.url) == (None, None)
    assert result.files["model.safetensors"] > 0


# Refusals


def test_without_a_login_it_says_how(hub, audited, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(HubError, match="hf auth login"):
        push(audited.folder, Destination(REPO, endpoint=hub.url), model_folder=audited.model_folder)
    assert hub.repositories == {}


@pytest.fixture
def without_verdict(audited, tmp_path):
    folder = tmp_path / "report"
    shutil.copytree(audited.folder, folder)
    for path in audited.folder.parent.glob("*.*"):
        shutil.copy(path, tmp_path)
    report = AuditReport.load(folder)
    verdicts = {n: dataclasses.replace(v, withheld=True) for n, v in report.verdicts.items()}
    (folder / "report.json").write_text(dataclasses.replace(report, verdicts=verdicts).to_json())
    return folder


def test_without_a_verdict_it_refuses_unless_forced(hub, audited, without_verdict):
    with pytest.raises(AuditError, match="--force"):
        send(hub, audited, folder=without_verdict)
    assert hub.repositories == {}
    send(hub, audited, folder=without_verdict, force=True)
    assert "No verdict" in hub.files(REPO)["README.md"].decode()


def test_other_weights_than_the_audited_ones_are_refused(hub, audited):
    with pytest.raises(AuditError, match="weights that were audited"):
        send(hub, audited, model_folder=audited.model_folder.parent / "original")
    assert hub.repositories == {}


def test_a_model_without_safetensors_is_refused(hub, audited, tmp_path):
    (tmp_path / "config.json").write_text((audited.model_folder / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(AuditError, match="safetensors"):
        send(hub, audited, model_folder=tmp_path)


def test_a_public_repository_is_not_taken_for_a_private_one(hub, audited):
    HfApi(endpoint=hub.url, token=hub.token).create_repo(REPO, private=False)
    with pytest.raises(HubError, match="is public"):
        send(hub, audited, private=True)
    assert hub.commits(REPO) == []


def test_a_new_repository_is_private_when_asked(hub, audited):
    send(hub, audited, private=True)
    assert hub.repositories["models", REPO].private


@pytest.mark.parametrize("name", ["no spaces allowed", "a/b/c", "-x/y"])
def test_a_wrong_name_is_named(hub, audited, name):
    with pytest.raises(HubError, match="user/name"):
        send(hub, audited, repo_id=name)


# Faults on the way


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "/api/whoami", status=503),
        Fault("POST", "/api/repos/create", status=500),
        Fault("POST", "/preupload/", status=500),
        Fault("POST", "/preupload/"),
        Fault("PUT", "/_lfs/", status=500),
        Fault("PUT", "/_lfs/"),
        Fault("POST", "/commit/", status=500),
        Fault("POST", "/commit/", status=502, times=2),
        Fault("POST", "/commit/"),
        Fault("POST", "/commit/", after_effect=True),
        Fault("POST", "/commit/", status=504, after_effect=True),
    ],
    ids=lambda f: f"{f.method} {f.path} {f.status or 'cut'}{' once made' if f.after_effect else ''} x{f.times}",
)
def test_a_passing_fault_ends_in_exactly_one_commit(hub, audited, fault):
    hub.fail(fault)
    result = send(hub, audited)
    (commit,) = hub.commits(REPO)
    assert result.commit == commit.oid
    assert set(result.files) <= set(commit.files)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("POST", "/commit/", status=500, times=99), "failed 4 times"),
        (Fault("POST", "/commit/", times=99), "failed 4 times"),
        (Fault("POST", "/commit/", status=409), "something else was changed"),
        (Fault("POST", "/commit/", status=403), "may not write"),
        (Fault("POST", "/preupload/", status=400), "answered 400"),
    ],
    ids=["500", "cut", "409", "403", "400"],
)
def test_a_lasting_fault_is_told_and_leaves_the_repository_untouched(hub, audited, fault, message):
    send(hub, audited, license="mit")
    before = hub.commits(REPO)
    hub.fail(fault)
    with pytest.raises(HubError, match=message):
        send(hub, audited, license="apache-2.0")
    assert hub.commits(REPO) == before


def test_an_expired_token_is_told(hub, audited):
    hub.expire_token()
    with pytest.raises(HubError, match="hf auth login"):
        send(hub, audited)
    assert hub.repositories == {}


def test_a_hub_that_cannot_be_reached_is_told(audited, hub):
    to = Destination(REPO, endpoint="http://127.0.0.1:9", token="hf_loopback")
    with pytest.raises(HubError, match="cannot be reached"):
        push(audited.folder, to, model_folder=audited.model_folder)


# Again, and elsewhere


def test_the_same_push_again_changes_nothing(hub, audited):
    send(hub, audited)
    send(hub, audited)
    first, *more = hub.commits(REPO)
    changed = [p for commit in more for p in commit.files if commit.files[p] != first.files.get(p)]
    assert [p for p in changed if p.endswith((".safetensors", "config.json", "README.md"))] == []


def test_a_push_takes_away_what_an_earlier_one_left_and_nothing_else(hub, audited):
    send(hub, audited, include_forget_ids=True)
    HfApi(endpoint=hub.url, token=hub.token).upload_file(
        path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id=REPO
    )
    assert any(path.startswith("audit/inputs/") for path in hub.files(REPO))
    result = send(hub, audited)
    assert set(hub.files(REPO)) == {*result.files, "notes.txt", ".gitattributes"}


def test_a_branch_is_made_and_main_left_alone(hub, audited):
    send(hub, audited, revision="second-try")
    assert hub.commits(REPO) == []
    assert "model.safetensors" in hub.files(REPO, "second-try")
    assert (fetch(hub, "second-try") / "audit" / "report.json").is_file()


def test_pulling_what_is_not_there_is_told(hub):
    with pytest.raises(HubError, match="There is no repository"):
        fetch(hub)


def test_pushed_files_hold_no_reference_to_files_that_are_not_there(hub, audited):
    send(hub, audited)
    manifest = json.loads(hub.files(REPO)["audit/manifest.json"])
    assert {f"audit/{path}" for path in manifest["outputs"]} == {
        p for p in hub.files(REPO) if p.startswith("audit/") and not p.endswith("manifest.json")
    }
    assert manifest["withheld"] == ["retain", "forget"]
