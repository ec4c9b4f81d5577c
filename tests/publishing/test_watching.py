"""`AuditCallback(every=…)`: figures against a held-out retrained model on the way, by which a checkpoint is chosen."""

from __future__ import annotations

import pytest
from transformers import Trainer, TrainingArguments

from tests.tiny import tiny_forget, tiny_images, tiny_vit
from unlearn_audit.data.batches import ExampleDataset, collate
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment.watching import HeldOut
from unlearn_audit.models import Preprocessing, predict
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.publishing import AuditCallback
from unlearn_audit.reporting.choices import PublishChoices

IMAGES = tiny_images(64)
CHOICES = PublishChoices(candidate="honest")


@pytest.fixture
def watch() -> HeldOut:
    original, held_out = (predict(tiny_vit(IMAGES, seed=seed), IMAGES) for seed in (0, 7))
    return HeldOut.of(
        held_out, original, tiny_forget(IMAGES), IMAGES, neighbourhood=NeighbourhoodConfig(number=4), strata=1
    )


def trained(callback: AuditCallback, folder, **options) -> Trainer:
    model = tiny_vit(IMAGES)
    dataset = ExampleDataset(IMAGES, Preprocessing.of(model))
    arguments = TrainingArguments(
        str(folder),
        num_train_epochs=2,
        per_device_train_batch_size=32,
        learning_rate=1e-2,
        report_to="none",
        remove_unused_columns=False,
        use_cpu=True,
        disable_tqdm=True,
        **{"save_strategy": "no", **options},
    )
    trainer = Trainer(model, arguments, train_dataset=dataset, eval_dataset=dataset, data_collator=collate)
    callback.attach(trainer)
    trainer.train()
    return trainer


def test_figures_are_logged_every_epoch_and_the_audit_comes_once(watch, report_folder, tmp_path) -> None:
    audits = []
    callback = AuditCallback(lambda model: audits.append(model) or report_folder, CHOICES, every="epoch", watch=watch)
    log = trained(callback, tmp_path / "run").state.log_history
    figures = [entry for entry in log if "held_out_objective" in entry]
    assert [entry["epoch"] for entry in figures] == [1.0, 2.0] and len(audits) == 1
    assert figures[0]["held_out_forget"] != figures[1]["held_out_forget"]
    assert any("audit/references" in entry for entry in log)


def test_a_checkpoint_is_chosen_by_the_held_out_model(watch, report_folder, tmp_path) -> None:
    callback = AuditCallback(lambda model: report_folder, CHOICES, every="evaluation", watch=watch)
    choosing = {
        "load_best_model_at_end": True,
        "metric_for_best_model": "held_out_objective",
        "greater_is_better": False,
    }
    trainer = trained(callback, tmp_path / "run", eval_strategy="epoch", save_strategy="epoch", **choosing)
    objectives = [entry["held_out_objective"] for entry in trainer.state.log_history if "held_out_objective" in entry]
    assert trainer.state.best_metric == min(objectives)


def test_the_original_is_as_far_as_doing_nothing_and_the_held_out_model_is_there(watch) -> None:
    assert watch(tiny_vit(IMAGES, seed=0))["held_out_objective"] == pytest.approx(1, abs=1e-4)
    assert watch(tiny_vit(IMAGES, seed=7))["held_out_objective"] == pytest.approx(0, abs=1e-4)


def test_options_that_do_not_fit_are_refused() -> None:
    for options in ({"every": "epoch"}, {"watch": dict}, {"every": "step", "watch": dict}):
        with pytest.raises(ConfigurationError, match="Expected"):
            AuditCallback(lambda model: "", **options)
