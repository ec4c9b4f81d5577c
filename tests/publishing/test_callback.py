"""With `AuditCallback`, a Trainer pushes nothing before a verdict, and then no more than `push` does."""

import json
import subprocess
import textwrap
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from transformers import TrainingArguments
from transformers.trainer_utils import HubStrategy

from tests.publishing.loopback import LoopbackHub
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.publishing import AuditCallback
from unlearn_audit.publishing.checking import verify_published
from unlearn_audit.saved.manifest import read_manifest

# Trainer takes the Hub's address when it is imported, so this runs in a process of its own. A first training ends in a
# crash of the audit, under each strategy; the last of them is resumed from its checkpoint, audited, and pushed.
SCRIPT = """
    import json, sys
    from pathlib import Path
    import torch
    from huggingface_hub import HfApi
    from transformers import Trainer, TrainerCallback, TrainingArguments
    from tests.reporting.audited import audit_candidate, make_references
    from unlearn_audit.errors import AuditError
    from unlearn_audit.models import load_model, save_model
    from unlearn_audit.publishing import AuditCallback

    base, told = Path(sys.argv[1]), {}
    images, forget, model = make_references(base)
    save_model(model, base / "original")
    HfApi().create_repo("ann/original")
    HfApi().upload_folder(repo_id="ann/original", folder_path=base / "original")
    card = b"---\\nlicense: mit\\n---\\n"
    HfApi().upload_file(repo_id="ann/original", path_in_repo="README.md", path_or_fileobj=card)
    model = load_model("hub:ann/original")

    class Tagging(TrainerCallback):
        def on_push_begin(self, args, state, control, model=None, **kwargs):
            model.model_tags = ["trackio", "trackio:https://trackio.example"]

    class Logged(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            told.setdefault("logged", {}).update(logs)

    def trainer_of(strategy, audit):
        arguments = TrainingArguments(
            str(base / strategy), push_to_hub=True, hub_model_id=f"tester/{strategy}", hub_strategy=strategy,
            hub_always_push=True, max_steps=2, save_strategy="steps", save_steps=1, report_to="none",
            remove_unused_columns=False, use_cpu=True, disable_tqdm=True,
        )
        dataset = [{"pixel_values": torch.zeros(3, 8, 8), "labels": 0} for _ in range(8)]
        trainer = Trainer(model, arguments, train_dataset=dataset, callbacks=[Tagging(), Logged()])
        AuditCallback(audit).attach(trainer)
        return trainer

    def crash(trained):
        raise RuntimeError("crash")

    def refused(action):
        try:
            action()
        except AuditError as error:
            return str(error)

    for strategy in ("end", "every_save", "checkpoint", "all_checkpoints"):
        trainer = trainer_of(strategy, crash)
        try:
            trainer.train()
        except RuntimeError as error:
            assert str(error) == "crash"
        told[strategy] = [refused(trainer.push_to_hub), refused(lambda: trainer.save_model(str(base / "elsewhere")))]
    trainer = trainer_of(strategy, lambda trained: audit_candidate(base, trained, images))
    trainer.train(resume_from_checkpoint=True)
    trainer.save_model()
    told["checkpoints"] = sorted(path.name for path in (base / strategy).glob("checkpoint-*"))
    (base / "told.json").write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def pushed(quick_commands, tmp_path_factory):
    """The Hub after it, and what the script told."""
    folder = tmp_path_factory.mktemp("trainer")
    (folder / "script.py").write_text(textwrap.dedent(SCRIPT))
    with LoopbackHub.of(quick_commands) as hub:
        done = subprocess.run(
            ["python", str(folder / "script.py"), str(folder)],
            env={**quick_commands, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return hub, json.loads((folder / "told.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["end", "every_save", "checkpoint"])
def test_nothing_is_pushed_before_a_verdict(pushed, strategy):
    hub, told = pushed
    assert hub.commits(f"tester/{strategy}") == []
    assert len(told[strategy]) == 2
    assert all("Expected an audit before anything is pushed" in refusal for refusal in told[strategy])


@pytest.mark.slow
def test_after_a_verdict_one_commit_holds_model_card_and_audit(pushed, tmp_path):
    hub, told = pushed
    assert told["checkpoints"] == ["checkpoint-1", "checkpoint-2"]
    assert all("Expected an audit" in refusal for refusal in told["all_checkpoints"])
    (commit,) = hub.commits("tester/all_checkpoints")
    assert not [path for path in commit.files if path.endswith((".bin", ".pt", ".pth")) or "checkpoint" in path]
    assert not [path for path, content in commit.files.items() if content.startswith(b"\x80\x02")]  # a pickle
    for path, content in commit.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    assert verify_published(tmp_path / "audit").differences == ()
    assert set(read_manifest(tmp_path / "audit").model.files) == {"README.md", "config.json", "model.safetensors"}
    card = commit.files["README.md"].decode()
    assert "unlearn-audit verify hub:tester/all_checkpoints" in card
    data = ModelCard(card).data
    assert (data.base_model, data.base_model_relation, data.license) == ("ann/original", "finetune", "mit")
    assert "- trackio:https://trackio.example" in card and "generated_from_trainer" not in card


@pytest.mark.slow
def test_the_answers_are_logged_where_the_training_is(pushed):
    _, told = pushed
    assert told["logged"]["audit/references"] == 3
    assert {told["logged"][f"audit/{question}"] for question in ("forgotten", "neighbours", "rest")} <= {0, 0.5, 1}


def test_an_audit_callback_that_is_not_attached_lets_nothing_be_pushed(tmp_path):
    """Given as one of the callbacks, it does not know the Trainer, whose own push would leave the audit out."""
    callback = AuditCallback(lambda model: tmp_path)
    arguments = TrainingArguments(str(tmp_path), report_to="none", use_cpu=True)
    assert arguments.hub_strategy == HubStrategy.EVERY_SAVE
    callback.on_init_end(arguments, None, None)
    assert arguments.hub_strategy == HubStrategy.END
    with pytest.raises(ConfigurationError, match=r"callback.attach\(trainer\)"):
        callback.on_push_begin(arguments, None, None)
