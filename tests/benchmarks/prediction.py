"""Predictions of one model for an audit, against the usual three passes and against the bare forward pass."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader

from tests.benchmarks.inputs import encoded, images, model
from tests.benchmarks.measuring import Ratio, compare
from unlearn_audit.models.prediction import captured_embeddings, predict
from unlearn_audit.models.preprocessing import Preprocessing

BATCH = 512


def run() -> list[Ratio]:
    """Measure logits and embeddings of all images, ResNet-20, float32 on both sides."""
    network = model().eval().to(memory_format=torch.channels_last)
    return compare(
        "predict: logits and embeddings, ResNet-20, float32",
        lambda: predict(network, images(), batch_size=BATCH),
        {
            "three passes (accuracy, probabilities, features) over a decoding loader": (lambda: usual(network), 4),
            "bare forward pass over data in memory": (lambda: bare(network), 0.9),
        },
    )


@torch.no_grad()
def bare(network: torch.nn.Module) -> None:
    """Run the forward pass alone, on pixels in memory."""
    prepare = Preprocessing.of(network)
    for batch in torch.from_numpy(images().pixels).split(BATCH):
        network(pixel_values=prepare(batch))


@torch.no_grad()
def usual(network: torch.nn.Module) -> None:
    """Go over a loader that decodes, once for each thing that is wanted."""
    from torchvision import transforms

    apply = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.25,) * 3)])

    def transform(batch: dict) -> dict:
        return {"image": [apply(image) for image in batch["image"]], "label": batch["label"]}

    loader = DataLoader(encoded().with_transform(transform), batch_size=BATCH)
    correct = sum((_logits(network, b).argmax(1) == b["label"]).sum() for b in loader)
    probabilities = torch.cat([_logits(network, b).softmax(1) for b in loader])
    with captured_embeddings(network) as features:
        for batch in loader:
            _logits(network, batch)
    assert correct <= len(probabilities) == sum(map(len, features))


def _logits(network: torch.nn.Module, batch: dict) -> torch.Tensor:
    return network(pixel_values=batch["image"]).logits
