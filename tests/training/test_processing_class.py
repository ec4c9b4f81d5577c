"""A model of transformers with an image processor is saved with it, wherever Trainer saves."""

from __future__ import annotations

from transformers import AutoImageProcessor, Trainer, TrainingArguments

from tests.tiny import tiny_images, tiny_vit
from unlearn_audit.data.batches import ExampleDataset, collate
from unlearn_audit.models import Preprocessing, create_model, load_model, weights_hash
from unlearn_audit.models.preprocessing import image_processor
from unlearn_audit.publishing import AuditCallback
from unlearn_audit.training import TrainingConfig, fit

IMAGES = tiny_images(16)


def huggingface_vit():
    """A ViT of transformers, not of timm, whose configuration says nothing of its pixels."""
    sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
    return create_model("vit", IMAGES, seed=0, patch_size=4, **sizes)


def settings(processor) -> dict:
    return {name: getattr(processor, name) for name in ("size", "image_mean", "image_std", "do_normalize")}


def test_checkpoints_of_a_training_hold_the_image_processor(tmp_path) -> None:
    model = huggingface_vit()
    config = TrainingConfig(epochs=1, batch_size=4, precision="float32", checkpoints=2)
    run = fit(model, IMAGES, config, seed=0, output_dir=tmp_path, progress=False)
    (checkpoint,) = run.checkpoints.glob("checkpoint-*")
    found = AutoImageProcessor.from_pretrained(checkpoint)
    assert settings(found) == settings(image_processor(model))
    loaded = load_model(checkpoint)
    assert Preprocessing.of(loaded) == Preprocessing.of(model)


def trainer_of(model, folder, **options) -> Trainer:
    arguments = TrainingArguments(str(folder), report_to="none", use_cpu=True, remove_unused_columns=False)
    dataset = ExampleDataset(IMAGES, Preprocessing.of(model))
    return Trainer(model, arguments, train_dataset=dataset, data_collator=collate, **options)


def test_a_trainer_that_publishes_saves_the_processor_of_its_model(tmp_path) -> None:
    model = huggingface_vit()
    trainer = trainer_of(model, tmp_path / "run")
    AuditCallback(lambda trained: "").attach(trainer)
    trainer.save_model(str(tmp_path / "saved"))
    assert weights_hash(load_model(tmp_path / "saved")) == weights_hash(model)


def test_a_processor_that_somebody_gave_stays(tmp_path) -> None:
    model, own = huggingface_vit(), image_processor(huggingface_vit())
    trainer = trainer_of(model, tmp_path, processing_class=own)
    AuditCallback(lambda trained: "").attach(trainer)
    assert trainer.processing_class is own is not image_processor(model)


def test_models_of_timm_need_none() -> None:
    assert image_processor(tiny_vit(IMAGES)) is None
