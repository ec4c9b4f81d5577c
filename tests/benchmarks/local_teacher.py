"""A local teacher (selection, training, targets), against embedding anew for every use over a decoding loader."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from tests.benchmarks.inputs import encoded, images, model
from tests.benchmarks.measuring import Ratio, compare
from unlearn_audit.data import ForgetSet
from unlearn_audit.methods.local_teacher_distillation import LocalTeacherDistillation
from unlearn_audit.models.prediction import captured_embeddings
from unlearn_audit.training import TrainingConfig, fit, training_examples, unlearn

SUPPORT, EPOCHS = 512, 5


def run() -> list[Ratio]:
    """Measure the teacher's side, then all of LTD beside a retraining, both at a tenth of their recipes' epochs."""
    original = model()
    forget = ForgetSet.random(images(), fraction=0.1, seed=0)
    teacher = compare(
        f"local teacher: ResNet-8 for {EPOCHS} epochs on {SUPPORT} neighbours, with its targets",
        lambda: ours(original, forget),
        {"embedding for every use, decoding loader, float32": (lambda: naive(original, forget), 3)},
        repeats=3,
    )
    tenth = TrainingConfig(epochs=3, batch_size=256, checkpoints=0)
    method = LocalTeacherDistillation(n_support=SUPPORT, teacher_epochs=25, teacher_accuracy=1.0)
    steps = TrainingConfig(**{**method.training_defaults, "epochs": 1, "checkpoints": 0})
    whole = compare(
        "all of LTD: 25 teacher epochs at most, 1 epoch of distillation",
        lambda: unlearn(model(), images(), forget, method, steps, progress=False),
        {
            "one retraining of 3 epochs": (
                lambda: fit(model(), images(), tenth, seed=0, forget=forget, progress=False),
                None,
            )
        },
        repeats=2,
        note="a tenth of each recipe's epochs (250 at most and 10; 30); whole, with what it buys: performance.md",
    )
    return teacher + whole


def ours(original: torch.nn.Module, forget: ForgetSet) -> None:
    """Prepare the method, and take targets for all forget examples once an epoch of the student would."""
    method = LocalTeacherDistillation(n_support=SUPPORT, teacher_epochs=EPOCHS, teacher_accuracy=1.0)
    examples = training_examples(original, images(), forget)
    method.prepare(original, examples)
    batch = examples.batch(examples.forget_rows)
    method.targets(batch, torch.ones(len(examples.forget_rows), dtype=torch.bool))


def naive(original: torch.nn.Module, forget: ForgetSet) -> None:
    """Embed for the centre and again for the proximities, train on decoded images, decode again for targets."""
    mask = forget.mask(images())
    centre = F.normalize(_embed(original)[mask].mean(0), dim=0)
    proximity = F.normalize(_embed(original), dim=1) @ centre
    proximity[mask] = -2
    support = encoded().select(proximity.topk(SUPPORT).indices.numpy())
    teacher = model("resnet8")
    optimizer = torch.optim.SGD(teacher.parameters(), 0.2, momentum=0.9, weight_decay=1e-4)
    for _ in range(EPOCHS):
        teacher.train()
        for batch in _loader(support, augment=True, shuffle=True):
            optimizer.zero_grad()
            F.cross_entropy(teacher(pixel_values=batch["image"]).logits, batch["label"]).backward()
            optimizer.step()
        teacher.eval()
        with torch.no_grad():  # the accuracy that would end the training
            _ = [teacher(pixel_values=batch["image"]).logits.argmax(1) for batch in _loader(support)]
    with torch.no_grad():
        for batch in _loader(encoded().select(np.flatnonzero(mask)), augment=True):
            teacher(pixel_values=batch["image"]).logits.softmax(1).topk(3)


@torch.no_grad()
def _embed(original: torch.nn.Module) -> torch.Tensor:
    original.eval()
    with captured_embeddings(original) as found:
        for batch in _loader(encoded()):
            original(pixel_values=batch["image"])
        return torch.cat(found)


def _loader(data: object, *, augment: bool = False, shuffle: bool = False) -> DataLoader:
    from torchvision import transforms

    moves = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()] if augment else []
    apply = transforms.Compose([*moves, transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.25,) * 3)])

    def transform(batch: dict) -> dict:
        return {"image": [apply(image) for image in batch["image"]], "label": batch["label"]}

    return DataLoader(data.with_transform(transform), batch_size=256, shuffle=shuffle)
