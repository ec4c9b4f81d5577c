"""`retrain`: K models from Trainers of one's own, with transforms and label smoothing; resumed, checked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments, ViTImageProcessor

from tests.models.checkpoints import ARGUMENTS
from tests.tiny import tiny_forget, tiny_images
from unlearn_audit.errors import ConfigurationError, DataError
from unlearn_audit.models import create_model, load_model, predict
from unlearn_audit.training import retrain

IMAGES = tiny_images(32)
FORGET = tiny_forget(IMAGES)
ROWS = Dataset.from_dict(
    {"id": IMAGES.ids.tolist(), "image": [p.tolist() for p in IMAGES.pixels], "label": IMAGES.labels.tolist()}
)


def transform(batch):
    pixels = [torch.tensor(image).permute(2, 0, 1) / 255 for image in batch["image"]]
    return {"pixel_values": pixels, "labels": batch["label"]}


class Factory:
    """Builds a Trainer as somebody would, and counts."""

    def __init__(self, folder, *, leave_out=True, seed=None, callbacks=(), **options):
        self.folder, self.leave_out, self.seed, self.callbacks, self.seeds = folder, leave_out, seed, callbacks, []
        self.options = options

    def __call__(self, forget, seed):
        self.seeds.append(seed)
        gone = set(forget.ids) if self.leave_out else set()
        train = ROWS.filter(lambda example: example not in gone, input_columns="id")
        train.set_transform(transform)
        arguments = TrainingArguments(
            str(self.folder / "hers"),
            num_train_epochs=2,
            per_device_train_batch_size=8,
            gradient_accumulation_steps=2,
            label_smoothing_factor=0.1,
            eval_strategy="epoch",
            save_strategy="epoch",
            load_best_model_at_end=True,
            metric_for_best_model="eval_loss",
            remove_unused_columns=False,
            disable_tqdm=True,
            use_cpu=True,
            seed=self.seed or seed,
            **{"report_to": "none", **self.options},
        )
        return Trainer(
            create_model("vit", IMAGES, seed=seed, **ARGUMENTS["vit"]),
            arguments,
            train_dataset=train,
            eval_dataset=train,
            processing_class=ViTImageProcessor(size={"height": 8, "width": 8}),
            callbacks=[EarlyStoppingCallback(1), *self.callbacks],
        )


def test_models_are_made_once_and_differ_by_their_seed(tmp_path) -> None:
    factory = Factory(tmp_path)
    first = retrain(factory, FORGET, 2, output_dir=tmp_path / "out")
    assert factory.seeds == [1, 2] and all(model.seconds > 0 for model in first)
    logits = [predict(load_model(model.folder), IMAGES).logits for model in first]
    assert not np.array_equal(*logits)
    assert retrain(factory, FORGET, 3, output_dir=tmp_path / "out")[:2] == first
    assert factory.seeds == [1, 2, 3]
    with pytest.raises(ConfigurationError, match="without another forget set"):
        retrain(factory, list(FORGET.ids[1:]), 1, output_dir=tmp_path / "out")


def test_half_precision_and_a_tracker_are_hers(tmp_path, monkeypatch) -> None:
    kinds = set()

    class Seen(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, **kwargs):
            model.classifier.register_forward_hook(lambda module, given, made: kinds.add(made.dtype))

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    factory = Factory(tmp_path, callbacks=[Seen()], bf16=True, report_to="tensorboard", logging_steps=1)
    (first,) = retrain(factory, FORGET, 1, output_dir=tmp_path / "out")
    assert torch.bfloat16 in kinds
    assert load_model(first.folder).dtype == torch.float32
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    assert {"train/loss", "train/grad_norm"} <= set(events.Tags()["scalars"])


def test_an_interrupted_model_goes_on_from_its_checkpoint(tmp_path) -> None:
    class Stop(TrainerCallback):
        def on_epoch_begin(self, args, state, control, **kwargs):
            if state.epoch and state.epoch >= 1:
                raise KeyboardInterrupt

    class Steps(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            self.first = state.global_step

    with pytest.raises(KeyboardInterrupt):
        retrain(Factory(tmp_path, callbacks=[Stop()]), FORGET, 1, output_dir=tmp_path / "out")
    steps = Steps()
    retrain(Factory(tmp_path, callbacks=[steps]), FORGET, 1, output_dir=tmp_path / "out")
    assert steps.first > 0


def test_a_factory_that_makes_copies_or_keeps_the_forget_set_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="copies"):
        retrain(Factory(tmp_path, seed=7), FORGET, 2, output_dir=tmp_path / "a")
    with pytest.raises(DataError, match=rf"still holds {len(FORGET)} of {len(FORGET)} forgotten"):
        retrain(Factory(tmp_path, leave_out=False), FORGET, 2, output_dir=tmp_path / "b")
