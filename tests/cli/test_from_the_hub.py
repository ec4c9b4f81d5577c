"""Models, predictions, forget sets and data of every command and of studies may lie on the Hub."""

import json
import subprocess

import huggingface_hub.constants
import pytest
from huggingface_hub import HfApi, ModelCard

from tests.publishing.loopback import LoopbackHub
from unlearn_audit.data import ForgetSet, load_images
from unlearn_audit.models import create_model, load_model, predict, save_model, weights_hash
from unlearn_audit.predictions import Predictions

pytestmark = pytest.mark.slow
MODEL, FILES = "ann/digits", "ann/predictions"
FORGET = f"hf://datasets/{FILES}/forget.txt"
STUDY = f"""\
name: hub
data: {{source: digits}}
forget: {{file: {FORGET}}}
original: hub:{MODEL}
references:
  - hf://datasets/{FILES}/retrained-1.parquet
  - hf://buckets/ann/bucket/retrained-2.parquet
  - hf://datasets/{FILES}@main/retrained-3.parquet
unlearned:
  hosted: hub:{MODEL}@main
methods:
  finetune: {{training: {{epochs: 0.1, precision: float32}}}}
neighbourhood: {{number: 3}}
measures: [js]
threads: 1
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a model, its ids to forget, and predictions of three others, from random weights."""
    folder = tmp_path_factory.mktemp("made")
    data = load_images("digits")
    save_model(create_model("resnet8", data.train, seed=0, width=4), folder / "model")
    forget = ForgetSet.by_class(data.train, 8, fraction=0.5, seed=7)
    (folder / "forget.txt").write_text("\n".join(forget.ids))
    for seed in range(4):
        name = f"retrained-{seed}" if seed else "original"
        predict(create_model("resnet8", data.train, seed=seed, width=4), data).save(folder / f"{name}.parquet")
    return folder


@pytest.fixture
def run(quick_commands, made, tmp_path, monkeypatch):
    """Run a command in a folder of its own, with a Hub that holds what was made."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    with LoopbackHub.of(quick_commands) as hub:
        api = HfApi(endpoint=hub.url, token=hub.token)
        api.create_repo(MODEL)
        api.upload_folder(repo_id=MODEL, folder_path=made / "model")
        api.upload_file(repo_id=MODEL, path_in_repo="README.md", path_or_fileobj=b"---\nlicense: mit\n---\n")
        api.create_repo(FILES, repo_type="dataset")
        api.upload_folder(repo_id=FILES, folder_path=made, repo_type="dataset", ignore_patterns="model/*")
        hub.buckets["ann/bucket"] = {"retrained-2.parquet": (made / "retrained-2.parquet").read_bytes()}

        def run(*arguments, code=0):
            done = subprocess.run(
                ["unlearn-audit", *map(str, arguments)],
                env=quick_commands,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
            return done.stdout if code == 0 else " ".join(done.stderr.replace("│", " ").split())

        run.hub, run.api = hub, api
        yield run
        assert hub.unhandled == []


def said(text):
    return json.loads(text)["result"]


def test_plan_fetches_a_model_files_and_a_forget_set(run, made):
    where = ("--forget", FORGET, "--reference", f"hf://datasets/{FILES}/retrained-1.parquet", "--json")
    hosted = said(run("plan", "--original", f"hub:{MODEL}", "--data", "digits", *where))
    files = said(run("plan", "--original", f"hf://datasets/{FILES}/original.parquet", *where))
    local = ("--forget", made / "forget.txt", "--reference", made / "retrained-1.parquet", "--json")
    assert files == said(run("plan", "--original", made / "original.parquet", *local))
    assert hosted["plan"]["forget_size"] == len((made / "forget.txt").read_text().splitlines())
    assert hosted["plan"]["confidence"] == pytest.approx(files["plan"]["confidence"], rel=1e-4)


def test_train_unlearn_and_predict_take_models_and_forget_sets(run, tmp_path):
    fast = ("--data", "digits", "--forget-file", FORGET)
    run("train", "--model", f"hub:{MODEL}", *fast, "-o", "trained", "--set", "epochs=0.1")
    unlearn = ("unlearn", f"hub:{MODEL}@main", "--method", "finetune", "--set", "training.epochs=0.1")
    run(*unlearn, *fast, "-o", "unlearned")
    for name in ("trained", "unlearned"):
        assert json.loads((tmp_path / name / "origin.json").read_text())["base_model"] == MODEL
    run("predict", f"hub:{MODEL}", "--data", "digits", "-o", "hosted.parquet")
    run("predict", f"hf://{MODEL}@main", "--data", "digits", "-o", "same.parquet")
    hosted, same = (Predictions.load(tmp_path / f"{name}.parquet").logits for name in ("hosted", "same"))
    assert (hosted == same).all()
    assert "examples listed in forget.txt" in run("forget", FORGET, "--data", "digits")


def test_what_is_sealed_is_what_is_audited(run):
    references = [f"--reference=r{k}=hf://datasets/{FILES}/retrained-{k}.parquet" for k in (1, 2, 3)]
    rests = (*references, f"--original=hub:{MODEL}", "--forget", FORGET, "--data", "digits", "--set", "measures=[js]")
    run("seal", *rests)
    run("audit", "--candidate", f"hub:{MODEL}", *rests, "--seal", "seal.json")


def test_a_study_takes_all_it_is_given_from_the_hub_and_names_its_base_model(run, made, tmp_path):
    (tmp_path / "hub.yaml").write_text(STUDY)
    run("run", "hub.yaml")
    path = tmp_path / "runs" / "hub" / "report" / "report.json"
    report = path.read_text()
    assert {model["name"] for model in json.loads(report)["models"]} >= {
        "finetune",
        "hosted",
        "original",
        "retrained-3",
    }
    (kept,) = (tmp_path / "runs" / "hub" / "stages").glob("given-*/model")
    assert weights_hash(load_model(kept)) == weights_hash(load_model(made / "model"))
    asked = len(run.hub.requests)
    run("run", "hub.yaml")
    assert path.read_text() == report
    assert not [path for _, path in run.hub.requests[asked:] if path.endswith(".parquet") and "resolve" in path]

    more = ("--repo-id", "tester/forgetful", "--allow-failing", "--force", "--accept-exposure")
    run("push", "runs/hub/report", "--candidate", "finetune", *more)
    card = ModelCard(run.hub.files("tester/forgetful")["README.md"].decode()).data
    assert (card.base_model, card.base_model_relation, card.license) == (MODEL, "finetune", "mit")
    run("push", "runs/hub/report", "--candidate", "hosted", *more)
    card = ModelCard(run.hub.files("tester/forgetful")["README.md"].decode()).data
    assert (card.base_model, card.license) == (None, "mit")  # a copy of it, which names no base of its own

    run.hub.buckets["ann/bucket"] = {"retrained-2.parquet": (made / "retrained-1.parquet").read_bytes()}
    run("run", "hub.yaml")
    assert path.read_text() != report


def test_gated_and_private_repositories_are_told(run):
    run.api.create_repo("ann/gated")
    run.hub.gate("ann/gated")
    predicting = ("--data", "digits", "-o", "p.parquet")
    assert "gated: ask for access" in run("predict", "hub:ann/gated", *predicting, code=1)
    assert "it is private and this login may not see it" in run("predict", "hub:ann/hidden", *predicting, code=1)
    plan = ("plan", "--original", "hub:ann/gated", "--forget", FORGET, "--data", "digits")
    assert "gated: ask for access" in run(*plan, code=1)
    assert "There is no file" in run(
        "plan", "--original", "hf://datasets/ann/none/a.parquet", "--forget", FORGET, code=1
    )


def test_data_of_the_hub_are_named_as_other_sources_are(run, tmp_path):
    told = run("predict", f"hub:{MODEL}", "--data", "hf://datasets/ann/none@main", "-o", "p.parquet", code=1)
    assert "ann/none is neither a folder here nor a data set of the Hub" in told
    told = run("predict", f"hub:{MODEL}", "--data", "hf://buckets/ann/none/a", "-o", "p.parquet", code=1)
    assert "a whole data set" in told
