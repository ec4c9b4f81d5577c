"""Her own conventions in a Trainer: PEFT models unlearn; losses of her own are refused."""

from __future__ import annotations

import pytest
import torch
from transformers import Trainer, TrainingArguments

from tests.models.checkpoints import ARGUMENTS
from tests.tiny import tiny_forget, tiny_images
from unlearn_audit.data.batches import collate
from unlearn_audit.errors import MethodError
from unlearn_audit.methods import GradientAscent
from unlearn_audit.models import adapt, create_model, merge, predict
from unlearn_audit.training import TrainingConfig, training_examples, unlearn

IMAGES = tiny_images(32)
FORGET = tiny_forget(IMAGES)


def trainer_of(model, method, folder, *, label_smoothing=0.0, **options) -> Trainer:
    arguments = TrainingArguments(
        str(folder),
        max_steps=2,
        per_device_train_batch_size=8,
        learning_rate=1e-2,
        max_grad_norm=0.0,
        label_smoothing_factor=label_smoothing,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    examples = method.prepare(model, training_examples(model, IMAGES, FORGET))
    return Trainer(model, arguments, train_dataset=examples, data_collator=collate, callbacks=[method], **options)


def test_an_adapted_model_unlearns_in_a_trainer_and_in_unlearn(tmp_path) -> None:
    for way in ("trainer", "unlearn"):
        model = adapt(create_model("vit", IMAGES, seed=0, **ARGUMENTS["vit"]), "lora", {"r": 2})
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        method = GradientAscent()
        if way == "trainer":
            trainer_of(model, method, tmp_path).train()
        else:
            unlearn(model, IMAGES, FORGET, method, TrainingConfig(epochs=1, learning_rate=1e-2), progress=False)
        moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
        assert moved and moved <= {name for name, p in model.named_parameters() if p.requires_grad}
        assert predict(merge(model), IMAGES).logits.shape == (32, 4)


@pytest.mark.parametrize(
    "options",
    [{"label_smoothing": 0.1}, {"compute_loss_func": lambda outputs, labels, **kwargs: outputs.logits.sum()}],
    ids=["label smoothing", "a loss function"],
)
def test_a_loss_of_her_own_is_refused_with_a_reason_and_the_model_stays_usable(options, tmp_path) -> None:
    model = create_model("vit", IMAGES, seed=0, **ARGUMENTS["vit"])
    with pytest.raises(MethodError, match="label_smoothing_factor"):
        trainer_of(model, GradientAscent(), tmp_path, **options).train()
    assert predict(model, IMAGES).logits.shape == (32, 4)
    trainer_of(model, GradientAscent(), tmp_path).train()  # another method may follow
