"""What is trained: the head alone, or LoRA; what is frozen stays bit for bit, and what comes out is a stock model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.models.checkpoints import ARGUMENTS, with_classes
from tests.tiny import tiny_images, tiny_resnet
from unlearn_audit.errors import ModelError
from unlearn_audit.models import adapt, create_model, load_model, merge, predict, save_model
from unlearn_audit.models.loading import classifier
from unlearn_audit.training import TrainingConfig, fit

IMAGES = tiny_images(24)
QUICK = TrainingConfig(epochs=2, batch_size=12, learning_rate=0.05, precision="float32")


def fine_tuned(model, trained: str, **options):
    model = adapt(model, trained, options)
    fit(model, IMAGES, QUICK, seed=0, progress=False)
    return model


@pytest.mark.parametrize("kind", ["resnet8", "vit", "mobilenet_v2"])
def test_the_head_alone_is_trained_and_statistics_stay(kind: str) -> None:
    model = create_model(kind, IMAGES, seed=0, **ARGUMENTS.get(kind, {}))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    head = {
        f"{name}.{part}" for name, m in model.named_modules() if m is classifier(model) for part in ("weight", "bias")
    }
    whole = merge(fine_tuned(model, "head"))
    changed = {name for name, tensor in whole.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == head
    assert all(p.requires_grad for p in whole.parameters())


@pytest.mark.parametrize("kind", ["vit", "convnextv2", "resnet", "resnet8"])
def test_lora_is_merged_into_a_stock_model_that_predicts_the_same(kind: str, tmp_path) -> None:
    model = create_model(kind, IMAGES, seed=0, **ARGUMENTS.get(kind, {}))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    adapted = fine_tuned(model, "lora", r=2)
    expected = predict(adapted, IMAGES)
    whole = merge(adapted)
    assert {name for name, _ in whole.named_parameters()} == before.keys()
    np.testing.assert_allclose(predict(whole, IMAGES).logits, expected.logits, atol=1e-5)
    matrices = [p.detach() - before[name] for name, p in whole.named_parameters() if p.dim() == 2]
    moved = [change for change in matrices[:-1] if change.any()]
    assert all(torch.linalg.matrix_rank(change, atol=1e-5) <= 2 for change in moved)
    save_model(whole, tmp_path)
    np.testing.assert_allclose(predict(load_model(tmp_path), IMAGES).logits, expected.logits, atol=1e-5)


def test_an_interrupted_lora_training_goes_on_with_the_same_result(tmp_path) -> None:
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 3:
                raise InterruptedError

    def new():
        return adapt(create_model("vit", IMAGES, seed=0, **ARGUMENTS["vit"]), "lora", {"r": 2})

    config = TrainingConfig(epochs=2, batch_size=12, learning_rate=0.05, precision="float32", checkpoints=3)
    with pytest.raises(InterruptedError):
        fit(new(), IMAGES, config, seed=0, output_dir=tmp_path, progress=False, callbacks=[Stop()])
    resumed, straight = new(), new()
    run = fit(resumed, IMAGES, config, seed=0, output_dir=tmp_path, progress=False)
    fit(straight, IMAGES, config, seed=0, progress=False)
    assert run.steps == 4
    np.testing.assert_array_equal(predict(merge(resumed), IMAGES).logits, predict(merge(straight), IMAGES).logits)


def test_a_saved_adapter_is_loaded_with_its_base_model(tmp_path) -> None:
    base = with_classes("vit", tmp_path / "base")
    adapted = fine_tuned(create_model(base, IMAGES, seed=0), "lora", r=2)
    adapted.save_pretrained(tmp_path / "adapter")  # as Trainer does
    expected = predict(adapted, IMAGES)
    np.testing.assert_allclose(predict(load_model(tmp_path / "adapter"), IMAGES).logits, expected.logits, atol=1e-5)


def test_options_that_peft_refuses_and_options_without_lora_are_errors() -> None:
    with pytest.raises(ModelError, match="PEFT cannot put LoRA"):
        adapt(tiny_resnet(IMAGES), "lora", {"rank": 2})
    with pytest.raises(ModelError, match="Expected options of LoRA"):
        adapt(tiny_resnet(IMAGES), "head", {"r": 2})
