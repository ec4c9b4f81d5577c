"""Trainer's own push, with the audit's card instead of Trainer's."""

import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.publishing.loopback import LoopbackHub
from unlearn_audit.publishing.checking import verify_published
from unlearn_audit.saved.manifest import read_manifest

# Trainer takes the Hub's address when it is imported, so this runs in a process of its own.
SCRIPT = """
    import sys
    from pathlib import Path
    import torch
    from transformers import Trainer, TrainingArguments
    from tests.reporting.audited import audit_candidate, make_references
    from unlearn_audit.publishing import AuditCallback

    base = Path(sys.argv[1])
    images, forget, model = make_references(base)
    arguments = TrainingArguments(
        str(base / "trained"), push_to_hub=True, hub_model_id="tester/trained", max_steps=1, report_to="none",
        remove_unused_columns=False, use_cpu=True, save_strategy="no", disable_tqdm=True,
    )
    dataset = [{"pixel_values": torch.zeros(3, 8, 8), "labels": 0} for _ in range(8)]
    trainer = Trainer(model, arguments, train_dataset=dataset)
    AuditCallback(lambda trained: audit_candidate(base, trained, images)).attach(trainer)
    trainer.train()
    trainer.push_to_hub()
"""


@pytest.mark.slow
def test_trainers_push_carries_the_audits_card(quick_commands, tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    with LoopbackHub.of(quick_commands) as hub:
        done = subprocess.run(
            ["python", str(tmp_path / "script.py"), str(tmp_path)],
            env={**quick_commands, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        files = hub.files("tester/trained")
    for path, content in files.items():
        (tmp_path / "pulled" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pulled" / path).write_bytes(content)
    found = verify_published(tmp_path / "pulled" / "audit")
    assert found.differences == ()
    assert {"README.md", "config.json", "model.safetensors"} == set(
        read_manifest(tmp_path / "pulled" / "audit").model.files
    )
    card = files["README.md"].decode()
    assert "unlearn-audit verify hub:tester/trained" in card
    assert "generated_from_trainer" not in card
    assert "audit/report.json" in files
    assert b"train-" not in files["audit/report.html"]
    assert not [path for path in files if "forget" in path]
