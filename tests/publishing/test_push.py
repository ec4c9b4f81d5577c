"""Pushing to and pulling from a Hub that imitates the real one, and that fails on the way."""

import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import HfApi, ModelCard, parse_eval_result_entries

from tests.publishing.loopback import Fault
from tests.reporting.samples import make_images
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.data.forget import ForgetSet
from unlearn_audit.errors import AuditError, HubError
from unlearn_audit.files import sha256
from unlearn_audit.predictions import Predictions
from unlearn_audit.publishing import hub as publishing
from unlearn_audit.publishing import publication, staging
from unlearn_audit.publishing.attacks import Exposure
from unlearn_audit.publishing.checking import auditor_of, check_claim, verify_published
from unlearn_audit.publishing.hub import AUDITED_FILES, Destination, audits_in, pull, push
from unlearn_audit.publishing.public import OF_MODELS
from unlearn_audit.publishing.publication import Publication, prepare_publication
from unlearn_audit.reporting.card_data import METRICS
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.saved.forgotten import Forgotten, commitment
from unlearn_audit.saved.manifest import read_manifest, seal
from unlearn_audit.saved.request import ModelFiles
from unlearn_audit.saved.running import run_audit, save_audit
from unlearn_audit.saved.sealing import Seal
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
    assert {path.rpartition(".")[2] for path in result.files} == {"json", "safetensors", "md", "html", "parquet", "png"}
    assert result.files["model.safetensors"] == len(commit.files["model.safetensors"])


def rows(content):
    return pq.read_table(io.BytesIO(content))


def everything(content, path):
    """Return all that a published file says, as text: of Parquet files the metadata too, which is encoded in them."""
    if not path.endswith(".parquet"):
        return content.decode("latin-1")
    table = rows(content)
    kept = pq.ParquetFile(io.BytesIO(content)).metadata.metadata or {}
    return f"{table.schema.metadata} {table.schema} {kept.keys()} {table.to_pydict()}"


def audit_again(audited, folder, **changes):
    """Audit the same predictions with some of the request changed, and return the new report's folder."""
    request = dataclasses.replace(read_manifest(audited.folder).request, **changes)
    found = run_audit(request, base=audited.folder, command="unlearn-audit audit --forget Jane_Doe_1985-04-01_GDPR.txt")
    save_audit(found, request, folder, base=audited.folder)
    return folder


@pytest.fixture
def requested(audited, tmp_path):
    """The report of an audit whose forget set came in a file that names a person."""
    request = tmp_path / "Jane_Doe" / "Jane_Doe_1985-04-01_GDPR.txt"
    request.parent.mkdir()
    request.write_text("\n".join(audited.forget.ids))
    forget = ForgetSet.from_file(make_images().train, request)
    assert request.name in forget.description
    saved = request.with_suffix(".json")
    forget.save(saved)
    return audit_again(
        audited,
        tmp_path / "report",
        forget=str(saved),
        title="Deletion for Jane_Doe, seed 12345",
        configuration={"forget": {"file": str(request), "seed": 12345}},
    )


def test_nothing_tells_who_was_forgotten(hub, audited, requested):
    result = send(hub, audited, folder=requested)
    assert any("forget set" in reason for reason in result.withheld)
    whole = AuditReport.load(requested)
    secrets = ("train-", "Jane_Doe", "1985-04-01", "GDPR", "seed 12345", str(audited.folder.parent))
    for path, content in hub.files(REPO).items():
        said = everything(content, path)
        assert [secret for secret in (*secrets, whole.forget_set.hash) if secret in said] == [], path
        if path.endswith(".parquet"):
            assert set(rows(content)["split"].to_pylist()) == {"test"}, path
    report = published_report(hub)
    assert report.forget_set.size == len(audited.forget)
    assert report.forget_set.description == "training examples of class 8"
    assert report.title == "Unlearning audit of forgetful"
    assert report.provenance.configuration == {}
    assert {model.model_id for model in report.models} == {model.name for model in report.models}


@pytest.mark.usefixtures("prepared")
def test_no_seed_is_published(hub, audited):
    send(hub, audited)
    assert {model.seed for model in AuditReport.load(audited.folder).models} == {0, 1, 2, 3, None}
    assert {model.seed for model in published_report(hub).models} == {None}
    assert {files.seed for _, _, files in read_manifest(fetch(hub) / "audit").request.items()} == {None}
    for path, content in hub.files(REPO).items():
        assert "seed 0" not in everything(content, path), path


def published_report(hub):
    return AuditReport.from_json(hub.files(REPO)["audit/report.json"].decode())


def numbers(value):
    """Yield every fractional number in a value of JSON."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers(item)


@pytest.mark.usefixtures("prepared")
def test_proximities_stay_here(hub, audited):
    """From those of the test examples and the original's embeddings, the forget set can be solved for exactly."""
    ledger = pq.read_table(audited.folder / "examples.parquet")
    proximities = {float(value) for value in np.round(ledger["proximity"].to_numpy(), 5)}
    send(hub, audited)
    published = rows(hub.files(REPO)["audit/examples.parquet"])
    assert set(published.column_names) == {
        *("example_id", "split", "population", "label", "stratum", "near", "floor"),
        *(f"{m.name}.{what}" for m in published_report(hub).models for what in OF_MODELS),
    }
    said = {path: everything(content, path) for path, content in hub.files(REPO).items()}
    assert not any("nearest_forget_id" in text or ".remembered" in text for text in said.values())
    in_report = {round(number, 5) for number in numbers(json.loads(said["audit/report.json"]))}
    in_ledger = {round(float(value), 5) for name in published.column_names for value in fractions(published[name])}
    assert len(proximities - {0.0, 1.0}) > 100 and len(in_report) > 100 and len(in_ledger) > 100
    # A figure may be any number below 1, so a few of thousands agree by chance; the proximities are not among them.
    for found in (in_report, in_ledger):
        assert len(found & proximities) < 0.2 * len(proximities)
    assert "proximity 0" not in said["audit/report.html"]
    assert all(stratum.lower is None and stratum.upper is None for stratum in published_report(hub).strata)


def fractions(column):
    return column.to_numpy() if column.type in (pa.float32(), pa.float64()) else []


def significant(value):
    """Return how many significant digits a number has."""
    return len(f"{value:e}".split("e")[0].rstrip("0").replace("-", "").replace(".", "")) if value else 0


@pytest.mark.usefixtures("prepared")
def test_figures_on_training_examples_have_three_digits_and_those_on_few_of_them_none(hub, audited):
    send(hub, audited)
    report, whole = json.loads(hub.files(REPO)["audit/report.json"]), AuditReport.load(audited.folder)
    few = 0
    for result in report["results"]:
        if result["population"] == "test":
            continue
        assert all(significant(f) <= 3 for f in numbers(result)), result["model"]
        for stratum in result["comparison"]["strata"] if result["population"] == "forget" else []:
            few += stratum["count"] < 30
            assert (stratum["discrepancy"] is None) == (stratum["count"] < 30)
    assert few
    for name, judgement in report["judgements"].items():
        for answer in judgement["answers"]:
            for finding in answer["findings"]:
                if "test" not in finding["group"]:
                    corrected = {**finding, "p_holm": None}  # follows from all p-values
                    assert all(significant(f) <= 3 for f in numbers(corrected)), (name, finding["group"])
    assert all(significant(f) <= 3 for f in numbers(report["membership"]))
    for name, verdict in published_report(hub).verdicts.items():
        assert verdict.outcome == whole.verdicts[name].outcome
    tests = [r for r in whole.results if r.population == "test"]
    assert [r.comparison.strata for r in published_report(hub).results if r.population == "test"] == [
        r.comparison.strata for r in tests
    ]


@pytest.mark.usefixtures("prepared")
def test_the_published_hash_is_salted_and_the_publisher_can_prove_the_set(hub, audited, tmp_path):
    send(hub, audited)
    salt, published = read_manifest(audited.folder).salt, published_report(hub).forget_set
    assert len(salt) == 64 and published.salted
    assert not any(salt in everything(content, path) for path, content in hub.files(REPO).items())
    guesses = {audited.forget.hash, sha256(audited.folder.parent / "forget.json"), commitment(audited.forget.ids, "")}
    guesses.add(Forgotten.of(audited.forget.ids).hash)
    for path, content in hub.files(REPO).items():
        assert not any(guess in everything(content, path) for guess in guesses), path
    audit, ids = fetch(hub) / "audit", tmp_path / "ids.txt"
    ids.write_text("\n".join(reversed(audited.forget.ids)))
    assert check_claim(audit, ids, salt) is None
    assert check_claim(audit, audited.folder.parent / "forget.json", salt) is None
    assert "another forget set" in check_claim(audit, ids, "0" * 64)
    ids.write_text("\n".join([*audited.forget.ids[1:], "train-0"]))
    assert "another forget set" in check_claim(audit, ids, salt)


def test_of_few_forgotten_examples_the_answers_alone_are_published(hub, audited, tmp_path):
    (tmp_path / "few.txt").write_text("\n".join(audited.forget.ids[:29]))
    folder = audit_again(audited, tmp_path / "report", forget=str(tmp_path / "few.txt"))
    sent = send(hub, audited, folder=folder, force=True, allow_failing=True)
    assert "fewer than 30 forgotten examples" in sent.withheld[0]
    assert_only_answers(hub)
    found = verify_published(fetch(hub) / "audit")
    assert found.differences == () and "answers" in found.not_checked[0]
    assert check_claim(fetch(hub) / "audit", tmp_path / "few.txt", read_manifest(folder).salt) is None
    send(hub, audited, folder=folder, include_forget_ids=True, force=True, allow_failing=True)
    assert verify(fetch(hub) / "audit").differences == ()


def assert_only_answers(hub):
    """Nothing but yes, no or not settled is said, and neither size nor class of the forget set."""
    files = hub.files(REPO)
    assert {path for path in files if path.startswith("audit/")} == {"audit/answers.json", "audit/manifest.json"}
    said = json.loads(files["audit/answers.json"])
    assert set(said["answers"].values()) <= {"yes", "no", "not settled"}
    card = files["README.md"].decode()
    assert "class 8" not in card and "stratum" not in card and "remembers" not in card
    assert set(numbers({**said, "policy": None})) == {said["test_accuracy"]}


def test_a_draw_that_the_figures_would_confirm_leaves_the_answers_alone(hub, audited, tmp_path):
    """Anyone can draw three quarters of class 8 by seed 0, and hold it against the published accuracy."""
    forget = ForgetSet.by_class(make_images().train, 8, fraction=0.75, seed=0)
    forget.save(tmp_path / "forget.json")
    noise = np.random.default_rng(0).normal(0, 2, (500, 10)).astype(np.float32)
    changes = {"forget": str(tmp_path / "forget.json")}
    folder = with_other_logits(audited, tmp_path, lambda found: found.logits + noise, **changes)
    sent = send(hub, audited, folder=folder, allow_failing=True, force=True)
    assert any("draw that fits the published figures" in reason for reason in sent.withheld)
    assert_only_answers(hub)
    sent = send(hub, audited, folder=folder, allow_failing=True, force=True, accept_exposure=True)
    assert next(e for e in sent.exposures if e.attack == "guesses").found == 1
    assert "audit/report.json" in hub.files(REPO)


def test_the_base_model_is_linked_unless_it_tells_who_was_forgotten(hub, audited, monkeypatch):
    sent = send(hub, audited, base_model="user/original")
    assert next(e for e in sent.exposures if e.attack == "differencing").chance == pytest.approx(0.75)
    assert ModelCard(hub.files(REPO)["README.md"].decode()).data.base_model == "user/original"
    monkeypatch.setattr(publication, "exposures", lambda target: [leak] if target.linked else [])
    leak = Exposure("differencing", "The base model that the card links", 1.0, 0.75, True, "base_model")
    sent = send(hub, audited, base_model="user/original")
    assert any("link to the base model" in reason for reason in sent.withheld)
    assert "user/original" not in hub.files(REPO)["README.md"].decode()
    send(hub, audited, base_model="user/original", accept_exposure=True)
    assert "base_model: user/original" in hub.files(REPO)["README.md"].decode()


def test_ids_in_what_would_be_published_stop_it(hub, audited, monkeypatch):
    monkeypatch.setattr(staging, "write_curve", lambda report, path, **_: path.with_suffix(".md").write_text(secret))
    secret = f"see {audited.forget.ids[3]}."
    with pytest.raises(AuditError, match="Ids that are published: 100 %"):
        send(hub, audited)
    assert hub.repositories == {}


def with_other_logits(audited, folder, change, **changes):
    """Audit again as if the candidate's weights had given what a function makes of its predictions."""
    found = Predictions.load(audited.folder.parent / "candidate.parquet")
    dataclasses.replace(found, logits=change(found)).save(folder / "candidate.parquet")
    files = read_manifest(audited.folder).request.candidates["candidate"]
    candidates = {"candidate": dataclasses.replace(files, predictions=(str(folder / "candidate.parquet"),))}
    return audit_again(audited, folder / "report", candidates=candidates, **changes)


def test_a_model_that_failed_is_published_only_when_asked_and_says_so_first(hub, audited, tmp_path):

    def remembering(found):
        sure = 9 * np.eye(10, dtype=np.float32)[8] * np.isin(found.example_ids, audited.forget.ids)[:, None]
        return found.logits + sure

    folder = with_other_logits(audited, tmp_path, remembering)
    assert AuditReport.load(folder).verdicts["candidate"].outcome == "fail"
    with pytest.raises(AuditError, match=r"failed its audit: It remembers.*--allow-failing"):
        send(hub, audited, folder=folder, force=True)
    assert hub.repositories == {}
    send(hub, audited, folder=folder, allow_failing=True)
    body = hub.files(REPO)["README.md"].decode().split("---\n", 2)[2]
    assert body.strip().startswith("> **This model failed its unlearning audit.**")


def test_the_hubs_parser_reads_the_results(hub, audited):
    send(hub, audited, datasets=("uoft-cs/cifar100",), dataset_revision="a" * 40, new_version="tester/better")
    files = hub.files(REPO)
    entries = parse_eval_result_entries(yaml.safe_load(files[".eval_results/unlearn-audit.yaml"]))
    found = {entry.task_id: entry for entry in entries}
    report = published_report(hub)
    assert found["accuracy"].value == pytest.approx(report.aggregate["candidate"].test_accuracy, abs=1e-6)
    for answer in report.judgements["candidate"].answers:
        entry = found[METRICS[answer.question]]
        assert entry.value.startswith({"pass": "yes", "fail": "no", "inconclusive": "not settled"}[answer.outcome])
        assert "K = 3" in entry.notes
    assert {(e.dataset_id, e.dataset_revision, e.date) for e in entries} == {
        ("uoft-cs/cifar100", "a" * 40, report.provenance.created)
    }
    assert all(e.source_url.endswith(f"{REPO}/tree/main/audit") for e in entries)
    data = ModelCard(files["README.md"].decode()).data
    assert data.to_dict()["new_version"] == "tester/better" and "arxiv:2605.31317" in data.tags
    indexed = {result.metric_type: result.metric_value for result in data.eval_results}
    assert {kind: entry.value for kind, entry in found.items()} == indexed


@pytest.mark.usefixtures("prepared")
def test_requests_name_the_library(hub, audited):
    send(hub, audited)
    assert {agent for agent in hub.agents if agent.startswith("unlearn-audit/")}


def test_another_auditors_pull_request_leaves_the_model_alone(hub, audited, tmp_path):
    send(hub, audited)
    mine = hub.files(REPO)
    to = Destination(REPO, create_pr=True, endpoint=hub.url, token="hf_loopback")
    result = push(audited.folder, to)
    assert result.url.endswith(f"{REPO}/discussions/1")
    assert hub.files(REPO) == mine
    asked = hub.files(REPO, "refs/pr/1")
    assert {p for p in asked if p not in mine} == set(result.files)
    assert all(p.startswith(("audits/tester/", ".eval_results/unlearn-audit-tester")) for p in result.files)
    assert {p: asked[p] for p in mine} == mine
    folder = pull(f"hub:{REPO}@refs/pr/1", endpoint=hub.url, token="hf_loopback")
    own, other = audits_in(folder)
    assert (auditor_of(own), auditor_of(other)) == ("its owner", "tester")
    for audit in (own, other):
        assert verify_published(audit).differences == ()


def test_a_pull_request_to_changed_weights_is_refused(hub, audited):
    send(hub, audited)
    weights = (audited.model_folder.parent / "original" / "model.safetensors").read_bytes()
    HfApi(endpoint=hub.url, token=hub.token).upload_file(
        path_or_fileobj=weights, path_in_repo="model.safetensors", repo_id=REPO
    )
    to = Destination(REPO, create_pr=True, endpoint=hub.url, token="hf_loopback")
    with pytest.raises(AuditError, match="weights that were audited"):
        push(audited.folder, to)
    assert "refs/pr/1" not in hub.repositories["models", REPO].branches


def test_a_dry_run_checks_the_name_of_the_repository(hub, audited):
    for name in ("no spaces allowed", "a/b/c", "-x/y", "user"):
        to = Destination(name, endpoint=hub.url, token="hf_loopback")
        with pytest.raises(HubError, match="user/name"):
            push(audited.folder, to, model_folder=audited.model_folder, dry_run=True)
    assert hub.requests == []


@pytest.mark.usefixtures("prepared")
def test_a_gated_repository_is_told_from_one_that_is_not_there(hub, audited):
    send(hub, audited)
    hub.gate(REPO)
    with pytest.raises(HubError, match="is gated: ask for access"):
        fetch(hub)


def test_with_the_ids_everything_is_published_and_can_be_computed_again(hub, audited):
    assert not any("ids" in reason for reason in send(hub, audited, include_forget_ids=True).withheld)
    found = verify(fetch(hub) / "audit")
    assert found.differences == ()
    assert found.not_checked == ()
    assert found.figures > 1000


def test_with_the_ids_the_seal_is_published_and_holds(hub, audited, tmp_path):
    request = read_manifest(audited.folder).request
    sealed = tmp_path / "sealed.json"
    sealed.write_text(Seal.of(request, audited.folder).to_json())
    found = run_audit(request, base=audited.folder)
    save_audit(found, request, tmp_path / "report", base=audited.folder, sealed=sealed)
    send(hub, audited, folder=tmp_path / "report", include_forget_ids=True)
    assert verify(fetch(hub) / "audit").differences == ()


@pytest.mark.usefixtures("prepared")
def test_what_was_pushed_can_be_fetched_and_checked(hub, audited):
    send(hub, audited)
    folder = fetch(hub)
    assert (folder / "model.safetensors").read_bytes() == (audited.model_folder / "model.safetensors").read_bytes()
    found = verify_published(folder / "audit")
    assert found.differences == ()
    assert "retain" in found.not_checked[0]
    assert found.files == len(hub.files(REPO)) - 2  # all but the manifest and .gitattributes
    assert found.figures > 500  # all comparisons on the test set, computed again from what was published


@pytest.fixture(scope="module")
def laid_out(audited, tmp_path_factory):
    """What is pushed, laid out as it lies on the Hub."""
    staging, root = tmp_path_factory.mktemp("staging"), tmp_path_factory.mktemp("hub")
    found = prepare_publication(audited.folder, audited.model_folder, staging, repo_id=REPO, choices=PublishChoices())
    for path, source in found.files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / path)
    assert verify_published(root / "audit").differences == ()
    return root


@pytest.fixture
def fetched(laid_out, tmp_path):
    """A copy of it, which may be changed."""
    return shutil.copytree(laid_out, tmp_path / "fetched")


def changed(root, change) -> list[str]:
    """Change a published report's JSON by a function, make the manifest fit as a forger would, and verify."""
    path = root / "audit" / "report.json"
    report = json.loads(path.read_text())
    change(report)
    path.write_text(json.dumps(report))
    seal_outputs(root / "audit")
    return list(verify_published(root / "audit").differences)


def test_an_edited_figure_in_a_published_report_is_named(fetched):
    report = AuditReport.load(fetched / "audit")
    place = next(i for i, r in enumerate(report.results) if (r.model, r.population) == ("candidate", "test"))

    def change(report):
        report["results"][place]["comparison"]["strata"][0]["discrepancy"] *= 0.5

    (difference, *_) = changed(fetched, change)
    assert difference.startswith(f"report.json /results/{place}/comparison/strata/0/discrepancy: saved")


def test_an_edited_verdict_in_a_published_report_is_named(fetched):
    was = AuditReport.load(fetched / "audit").verdicts["candidate"].outcome

    def change(report):
        report["verdicts"]["candidate"]["outcome"] = "pass" if was == "fail" else "fail"

    (difference,) = changed(fetched, change)  # though most of what the verdict rests on is withheld
    assert difference.startswith("report.json /verdicts/candidate/outcome: saved") and repr(was) in difference


@pytest.mark.parametrize("group", ["near_test", "other_test"])
def test_edited_findings_on_test_examples_are_named(fetched, group):
    """They are computed again from the published predictions, and not only judged again from what the report says."""
    edited = {"level": ("value", "expected", "disagreement"), "pattern": ("value", "expected", "difference")}

    def change(report):
        answers = report["judgements"]["candidate"]["answers"]
        for finding in (f for answer in answers for f in answer["findings"] if f["group"] == group):
            for figure in edited[finding["kind"]]:
                finding[figure] += 1e-3

    places = [d.split(": saved")[0] for d in changed(fetched, change) if "/judgements/candidate/answers/" in d]
    named = {place.rpartition("/")[2] for place in places if "/findings/" in place}
    assert {figure for figures in edited.values() for figure in figures} <= named


def test_an_edited_count_or_weights_hash_is_named(fetched):
    def change(report):
        next(group for group in report["groups"] if group["name"] == "near_test")["count"] += 1
        report["models"][-1]["weights_hash"] = "0" * 64

    differences = " ".join(changed(fetched, change))
    assert "/groups/" in differences and "/models/4/weights_hash" in differences


@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors"])
def test_a_change_to_the_model_or_its_card_is_named(fetched, name):
    content = bytearray((fetched / name).read_bytes())
    content[-2] ^= 1
    (fetched / name).write_bytes(content)
    assert any(d.startswith(f"{name}: {name} has the hash") for d in verify_published(fetched / "audit").differences)
    (fetched / name).unlink()
    assert any(f"the file {name} is missing" in d for d in verify_published(fetched / "audit").differences)


@pytest.mark.parametrize(
    "name", ["audit/extra.json", "audit/predictions/more.parquet", "other.safetensors", "adapter_config.json"]
)
def test_a_file_that_the_manifest_does_not_name_is_named(fetched, name):
    (fetched / name).write_bytes(b"new")
    assert f"{name}: the manifest does not name this file" in verify_published(fetched / "audit").differences


def test_other_weights_than_the_audited_ones_are_named_under_any_hash_of_files(fetched, audited):
    shutil.copy(audited.model_folder.parent / "original" / "model.safetensors", fetched / "model.safetensors")
    manifest = json.loads((fetched / "audit" / "manifest.json").read_text())
    manifest["model"]["files"]["model.safetensors"] = sha256(fetched / "model.safetensors")
    (fetched / "audit" / "manifest.json").write_text(json.dumps(manifest))
    (difference,) = verify_published(fetched / "audit").differences
    assert difference.startswith("the weights have the hash") and "another model was audited" in difference


@pytest.mark.usefixtures("prepared")
def test_verifying_fetches_no_more_than_it_looks_at(hub, audited):
    send(hub, audited)
    HfApi(endpoint=hub.url, token=hub.token).upload_file(
        path_or_fileobj=b"large", path_in_repo="optimizer.pt", repo_id=REPO
    )
    folder = pull(REPO, only=AUDITED_FILES, endpoint=hub.url, token="hf_loopback")
    assert verify_published(folder / "audit").differences == ()
    assert not any("optimizer" in path for _, path in hub.requests if "/resolve/" in path)
    assert not (folder / "optimizer.pt").exists()


@pytest.mark.usefixtures("prepared")
def test_a_missing_file_of_a_published_report_is_named(hub, audited, tmp_path):
    send(hub, audited)
    folder = tmp_path / "audit"
    shutil.copytree(fetch(hub) / "audit", folder)
    (folder / "predictions" / "candidate-0.parquet").unlink()
    found = verify(folder)
    assert any("predictions/candidate-0.parquet" in d and "missing" in d for d in found.differences)
    assert "is not checked" in found.not_checked[0]


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
    """The report of an audit with too few retrained models for a verdict."""
    references = dict(list(read_manifest(audited.folder).request.references.items())[:2])
    return audit_again(audited, tmp_path / "report", references=references)


def edited(audited, folder, name, *, resealed):
    """Copy a report with a file of it edited by hand; the manifest fits, where it was rendered again afterwards."""
    shutil.copytree(audited.folder, folder)
    for path in audited.folder.parent.glob("*.*"):
        shutil.copy(path, folder.parent)
    path = folder / name
    if name == "report.json":
        report = json.loads(path.read_text())
        verdict = report["verdicts"]["candidate"]
        verdict["outcome"] = "fail" if verdict["outcome"] == "pass" else "pass"
        path.write_text(json.dumps(report))
    else:
        ledger = pq.read_table(path)
        turned = ledger["example_id"].take(pa.array(range(len(ledger))[::-1]))
        pq.write_table(ledger.set_column(0, "example_id", turned), path)
    if resealed:
        seal(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "resealed", "force"),
    [("report.json", False, False), ("report.json", True, True), ("examples.parquet", True, False)],
)
def test_an_edited_report_is_never_published(hub, audited, tmp_path, name, resealed, force):
    folder = edited(audited, tmp_path / "report", name, resealed=resealed)
    with pytest.raises(AuditError, match=f"this one was changed(.|\n)*{name}(.|\n)*Nothing was published"):
        send(hub, audited, folder=folder, force=force)
    assert hub.repositories == {}


def test_without_a_verdict_it_refuses_unless_forced(hub, audited, without_verdict):
    with pytest.raises(AuditError, match="--force"):
        send(hub, audited, folder=without_verdict)
    assert hub.repositories == {}
    send(hub, audited, folder=without_verdict, force=True)
    assert "No verdict" in hub.files(REPO)["README.md"].decode()


@pytest.mark.parametrize("force", [False, True])
def test_other_weights_than_the_audited_ones_are_refused(hub, audited, force):
    with pytest.raises(AuditError, match="weights that were audited"):
        send(hub, audited, model_folder=audited.model_folder.parent / "original", force=force)
    assert hub.repositories == {}
    line = "| other weights than the audited ones are pushed, with `--force` |"
    assert line in (Path(__file__).parents[2] / "docs" / "threat-model.md").read_text()


def test_files_that_are_links_are_pushed(hub, audited, tmp_path):
    """As in a folder that a study linked to, or that the Hub's client keeps."""
    model = tmp_path / "model"
    model.mkdir()
    for path in audited.model_folder.iterdir():
        (model / path.name).symlink_to(path)
    (tmp_path / "report").symlink_to(audited.folder, target_is_directory=True)
    send(hub, audited, folder=tmp_path / "report", model_folder=model)
    pushed = hub.files(REPO)["model.safetensors"]
    assert pushed == (audited.model_folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("kind", ["npz", "csv"])
@pytest.mark.parametrize("with_splits", [True, False])
def test_an_audit_of_other_formats_is_published_as_parquet(hub, audited, tmp_path, kind, with_splits):
    request = read_manifest(audited.folder).request

    def converted(name, files):
        whole, target = Predictions.load(audited.folder / files.predictions[0]), tmp_path / f"{name}.{kind}"
        columns = {"example_id": whole.example_ids, "label": whole.labels}
        columns |= {"split": whole.splits} if with_splits else {}
        if kind == "npz":
            np.savez(target, logits=whole.logits, embedding=whole.embeddings, **columns)
        else:
            numbered = [(f"logit_{i}", whole.logits[:, i]) for i in range(whole.num_classes)]
            numbered += [(f"embedding_{i}", whole.embeddings[:, i]) for i in range(whole.embeddings.shape[1])]
            csv.write_csv(pa.table({**columns, **dict(numbered)}), target)
        return ModelFiles((str(target),))

    models = request.map(converted)
    folder = audit_again(
        audited,
        tmp_path / "report",
        candidates=models.candidates,
        references=models.references,
        original=models.original,
    )
    with pytest.raises(AuditError, match="does not say which weights"):
        send(hub, audited, folder=folder, force=True)
    send(hub, audited, folder=folder, unknown_weights=True)
    found = verify_published(fetch(hub) / "audit")
    assert found.differences == ()
    assert any("does not say which weights" in sentence for sentence in found.not_checked)
    published = rows(hub.files(REPO)["audit/predictions/candidate-0.parquet"])
    assert len(published) == (100 if with_splits else 0)
    assert set(published.column_names) == {"example_id", "split", "label", "logits"}


def test_a_model_without_safetensors_is_refused(hub, audited, tmp_path):
    (tmp_path / "config.json").write_text((audited.model_folder / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(AuditError, match="safetensors"):
        send(hub, audited, model_folder=tmp_path)


@pytest.mark.usefixtures("prepared")
def test_a_public_repository_is_not_taken_for_a_private_one(hub, audited):
    HfApi(endpoint=hub.url, token=hub.token).create_repo(REPO, private=False)
    with pytest.raises(HubError, match="is public"):
        send(hub, audited, private=True)
    assert hub.commits(REPO) == []


@pytest.mark.usefixtures("prepared")
def test_a_new_repository_is_private_when_asked(hub, audited):
    send(hub, audited, private=True)
    assert hub.repositories["models", REPO].private


@pytest.mark.parametrize("name", ["no spaces allowed", "a/b/c", "-x/y"])
def test_a_wrong_name_is_named(hub, audited, name):
    with pytest.raises(HubError, match="user/name"):
        send(hub, audited, repo_id=name)


# Faults on the way


@pytest.fixture
def prepared(laid_out, monkeypatch):
    """Let a push send what is laid out already: here it matters what that is, or what becomes of it."""
    files = {p.relative_to(laid_out).as_posix(): p for p in laid_out.rglob("*") if p.is_file()}
    found = Publication(files, (), "Publish candidate with its audit 0123456789ab")
    monkeypatch.setattr(publishing, "prepare_publication", lambda *_, **__: found)


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
@pytest.mark.usefixtures("prepared")
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
@pytest.mark.usefixtures("prepared")
def test_a_lasting_fault_is_told_and_leaves_the_repository_untouched(hub, audited, fault, message):
    with_a_note(hub)
    before = hub.commits(REPO)
    hub.fail(fault)
    with pytest.raises(HubError, match=message):
        send(hub, audited)
    assert hub.commits(REPO) == before


def with_a_note(hub):
    """Make the repository, with a file of somebody's in it."""
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(REPO)
    api.upload_file(path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id=REPO)


@pytest.mark.usefixtures("prepared")
def test_a_pull_request_whose_answer_was_lost_is_not_opened_twice(hub, audited):
    with_a_note(hub)
    hub.fail(Fault("POST", "/commit/", after_effect=True))
    to = Destination(REPO, create_pr=True, endpoint=hub.url, token="hf_loopback")
    result = push(audited.folder, to, model_folder=audited.model_folder)
    assert result.url.endswith("/discussions/1") and result.commit == "refs/pr/1"
    assert set(hub.repositories["models", REPO].branches) == {"main", "refs/pr/1"}


@pytest.mark.usefixtures("prepared")
def test_an_expired_token_is_told(hub, audited):
    hub.expire_token()
    with pytest.raises(HubError, match="hf auth login"):
        send(hub, audited)
    assert hub.repositories == {}


@pytest.mark.usefixtures("prepared")
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
    HfApi(endpoint=hub.url, token=hub.token).upload_file(
        path_or_fileobj=b"{}", path_in_repo="adapter_config.json", repo_id=REPO
    )
    assert any(path.startswith("audit/inputs/") for path in hub.files(REPO))
    result = send(hub, audited)
    assert set(hub.files(REPO)) == {*result.files, "notes.txt", ".gitattributes"}


@pytest.mark.usefixtures("prepared")
def test_a_branch_is_made_and_main_left_alone(hub, audited):
    send(hub, audited, revision="second-try")
    assert hub.commits(REPO) == []
    assert "model.safetensors" in hub.files(REPO, "second-try")
    assert (fetch(hub, "second-try") / "audit" / "report.json").is_file()


def test_pulling_what_is_not_there_is_told(hub):
    with pytest.raises(HubError, match="There is no repository"):
        fetch(hub)


@pytest.mark.usefixtures("prepared")
def test_pushed_files_hold_no_reference_to_files_that_are_not_there(hub, audited):
    send(hub, audited)
    manifest = json.loads(hub.files(REPO)["audit/manifest.json"])
    assert {f"audit/{path}" for path in manifest["outputs"]} == {
        p for p in hub.files(REPO) if p.startswith("audit/") and not p.endswith("manifest.json")
    }
    assert manifest["withheld"] == ["retain", "forget"]
