"""Training through our Trainer path, against a bare loop and against a stock Trainer that decodes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import torch
import torch.nn.functional as F

from tests.benchmarks.inputs import IMAGES, encoded, images, model
from tests.benchmarks.measuring import Ratio, compare
from unlearn_audit.data import ForgetSet
from unlearn_audit.data.batches import Augmentation
from unlearn_audit.methods.random_labels import RandomLabels
from unlearn_audit.models.preprocessing import Preprocessing
from unlearn_audit.training import TrainingConfig, fit, unlearn
from unlearn_audit.training.config import bfloat16_is_faster

BATCH = 256
EPOCHS = 4  # so that what a Trainer sets up, once a run, weighs less
CONFIG = TrainingConfig(epochs=EPOCHS, batch_size=BATCH, checkpoints=0)


def run() -> list[Ratio]:
    """Measure a ResNet-20 with augmentation, batch 256."""
    trained = compare(
        f"train: {EPOCHS} epochs of ResNet-20, batch 256",
        lambda: fit(model(), images(), CONFIG, seed=0, progress=False),
        {
            "bare PyTorch loop, same precision, data in memory": (bare_loop, 0.95),
            "stock Trainer, `datasets` decoding, torchvision transforms, float32": (stock_trainer, 2.5),
        },
        note=f"{IMAGES} images; what a Trainer sets up, once a run, is included; "
        + ("bfloat16" if bfloat16_is_faster() else "float32"),
    )
    forget = ForgetSet.random(images(), fraction=0.1, seed=0)
    unlearned = compare(
        "unlearn: the same with random labels on a tenth",
        lambda: unlearn(model(), images(), forget, RandomLabels(retain_share=1.0), CONFIG, progress=False),
        {"bare PyTorch loop, same precision, data in memory": (bare_loop, 0.95)},
    )
    return trained + unlearned


def bare_loop() -> None:
    """Train with nothing but PyTorch, as fast as it is usually written for images in memory."""
    network = model().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * len(images()) // BATCH)
    step = _step(network)
    pixels, labels = torch.from_numpy(images().pixels), torch.from_numpy(images().labels)
    for rows in (rows for _ in range(EPOCHS) for rows in torch.randperm(len(labels)).split(BATCH)):
        optimizer.zero_grad()
        step(pixels[rows], labels[rows], rows).backward()
        optimizer.step()
        schedule.step()


def _step(network: torch.nn.Module) -> Callable[..., torch.Tensor]:
    augment, prepare = Augmentation.usual(images()), Preprocessing.of(network)

    def step(pixels: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        batch = prepare(augment(pixels, rows, seed=0, epoch=0))
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16_is_faster()):
            return F.cross_entropy(network(pixel_values=batch).logits, labels)

    return step


def stock_trainer() -> None:
    """Train as examples of transformers do: a transform on each decoded image, the default collator."""
    from torchvision import transforms
    from transformers import Trainer, TrainingArguments

    apply = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        ]
    )

    def transform(batch: dict) -> dict:
        return {"pixel_values": [apply(image) for image in batch["image"]], "labels": batch["label"]}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=BATCH,
            learning_rate=0.1,
            optim="sgd",
            optim_args="momentum=0.9,nesterov=True",
            weight_decay=5e-4,
            max_grad_norm=0,
            save_strategy="no",
            report_to="none",
            remove_unused_columns=False,
            use_cpu=not torch.accelerator.is_available(),
            disable_tqdm=True,
            logging_strategy="no",
        )
        Trainer(model(), arguments, train_dataset=encoded().with_transform(transform)).train()
