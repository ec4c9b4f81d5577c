"""A training epoch through our Trainer path, against a bare loop and against a stock Trainer that decodes."""

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
from unlearn_audit.training import TrainingConfig, bfloat16_is_faster, fit, unlearn

BATCH = 256
CONFIG = TrainingConfig(epochs=1, batch_size=BATCH, checkpoints=0)


def run() -> list[Ratio]:
    """Measure one epoch of a ResNet-20 with augmentation, batch 256."""
    trained = compare(
        "train: an epoch of ResNet-20, batch 256",
        lambda: fit(model(), images(), CONFIG, seed=0, progress=False),
        {
            "bare PyTorch loop, same precision, data in memory": (bare_epoch, 0.95),
            "stock Trainer, `datasets` decoding, torchvision transforms, float32": (stock_epoch, 2.5),
        },
        note=f"{IMAGES} images; the epoch includes what a Trainer sets up; "
        + ("bfloat16" if bfloat16_is_faster() else "float32"),
    )
    forget = ForgetSet.random(images(), fraction=0.1, seed=0)
    unlearned = compare(
        "unlearn: the same epoch with random labels on a tenth",
        lambda: unlearn(model(), images(), forget, RandomLabels(retain_share=1.0), CONFIG, progress=False),
        {"bare PyTorch loop, same precision, data in memory": (bare_epoch, 0.95)},
    )
    return trained + unlearned


def bare_epoch() -> None:
    """Train an epoch with nothing but PyTorch, as fast as it is usually written for images in memory."""
    network = model().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(images()) // BATCH)
    step = _step(network)
    pixels, labels = torch.from_numpy(images().pixels), torch.from_numpy(images().labels)
    for rows in torch.randperm(len(labels)).split(BATCH):
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


def stock_epoch() -> None:
    """Train an epoch as examples of transformers do: a transform on each decoded image, the default collator."""
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
            num_train_epochs=1,
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
