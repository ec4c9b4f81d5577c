"""A small audit on made-up predictions, as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions import Predictions
from unlearn_audit.saved.request import AuditRequest, ModelFiles

N_TRAIN, N_TEST, C = 600, 200, 5


def made_up(seed: int, *, noise: float = 0.3, damage: float = 0.0) -> Predictions:
    """One model: shared logits, its own noise, and damage that grows with proximity to class 0's corner."""
    shared, own = np.random.default_rng(0), np.random.default_rng(seed + 1)
    n = N_TRAIN + N_TEST
    labels = shared.integers(0, C, n)
    embeddings = np.eye(C)[labels] + 0.7 * shared.normal(size=(n, C))
    logits = 3 * np.eye(C)[labels] + shared.normal(size=(n, C)) + noise * own.normal(size=(n, C))
    logits[:, 0] -= damage * np.maximum(embeddings[:, 0], 0)
    return Predictions(
        example_ids=np.array([f"train-{i}" for i in range(N_TRAIN)] + [f"test-{i}" for i in range(N_TEST)]),
        splits=np.array(["train"] * N_TRAIN + ["test"] * N_TEST),
        labels=labels,
        logits=logits.astype(np.float32),
        embeddings=embeddings.astype(np.float32),
        metadata={"model_id": f"model {seed}", "data": "made-up", "data_fingerprint": "f" * 64},
    )


def request_in(folder: Path, references: int = 4) -> AuditRequest:
    """Write predictions and a forget set to `folder`; paths in the request are relative to it."""
    models = {"honest": made_up(50), "damaged": made_up(51, damage=4), "original": made_up(52)}
    models |= {"untrained": made_up(53, noise=30)}
    models |= {f"retrained-{k}": made_up(k) for k in range(references)}
    for name, predictions in models.items():
        predictions.save(folder / f"{name}.parquet")
    first = models["honest"]
    forget = first.example_ids[:N_TRAIN][first.labels[:N_TRAIN] == 0][::2]
    (folder / "forget.txt").write_text("\n".join(forget))
    files = {name: ModelFiles((f"{name}.parquet",)) for name in models}
    return AuditRequest(
        candidates={name: files[name] for name in ("honest", "damaged")},
        references={name: files[name] for name in models if name.startswith("retrained")},
        forget="forget.txt",
        original=files["original"],
        untrained=files["untrained"],
        neighbourhood=NeighbourhoodConfig(number=4),
    )
