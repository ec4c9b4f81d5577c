"""A pool of models of known nature on the embedded digits, trained once and cached: what calibration draws from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unlearn_audit.data.forget import ForgetSet
from unlearn_audit.data.images import ImageData, load_images
from unlearn_audit.predictions import Predictions

ARCHITECTURE = "resnet8"
FORGOTTEN, WRONG = 8, 3  # half of the first class is deleted; half of the second instead, in models of the wrong set
TRAINING: dict[str, Any] = {
    "epochs": 20,
    "batch_size": 128,
    "learning_rate": 0.1,
    "precision": "float32",
    "checkpoints": 0,
}
NOISE = 0.05  # standard deviation of the noise added to each weight tensor, as a share of the tensor's own


@dataclass(frozen=True)
class Unlearning:
    """An unlearning method with the settings that the pool uses."""

    method: str
    arguments: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


METHODS = {
    "GA": Unlearning("gradient_ascent", {"freeze_batchnorm": True}, {"learning_rate": 1e-3}),
    "RL+FT": Unlearning("random_labels", {"retain_share": 1.0}, {"learning_rate": 1e-2}),
    "LTD": Unlearning("local_teacher_distillation", {"n_support": 200}, {"learning_rate": 1e-3}),
}
KINDS = ("retrained", "original", "noisy original", "wrong set", *METHODS, "untrained")


@dataclass(frozen=True)
class PoolSize:
    """How many models of each kind a pool holds: retrained ones, and of every other kind."""

    retrained: int = 48
    others: int = 6

    def names(self) -> list[tuple[str, int]]:
        """Return (kind, index) of each model, originals first because others start from them."""
        order = ("original", "retrained", *(kind for kind in KINDS if kind not in ("original", "retrained")))
        return [(kind, i) for kind in order for i in range(self.retrained if kind == "retrained" else self.others)]


@dataclass(frozen=True, eq=False)
class Pool:
    """Predictions of all models, by kind, on the digits."""

    data: ImageData
    forget: ForgetSet
    predictions: dict[str, list[Predictions]]


def default_folder() -> Path:
    """Return where pools are cached."""
    from unlearn_audit.data._cache import default_cache_dir

    return default_cache_dir() / "calibration"


def load_pool(
    size: PoolSize | None = None,
    *,
    folder: str | Path | None = None,
    kinds: Sequence[str] = KINDS,
    progress: Callable[[str, int, int], None] | None = None,
) -> Pool:
    """Return a pool, training what the cache does not hold; a run that was interrupted goes on there.

    Args:
        size: how many models.
        folder: of the cache; pools made by different settings lie in different folders below it.
        kinds: leave out the others.
        progress: called before each model with its name, how many are done, and how many there are.
    """
    size = size or PoolSize()
    data = load_images("digits")
    forget = ForgetSet.by_class(data.train, FORGOTTEN, fraction=0.5, seed=0)
    home = Path(folder or default_folder()) / _key(data, forget)
    home.mkdir(parents=True, exist_ok=True)
    wanted = [(kind, index) for kind, index in size.names() if kind in kinds]
    predictions: dict[str, list[Predictions]] = {kind: [] for kind in kinds}
    for done, (kind, index) in enumerate(wanted):
        if progress is not None:
            progress(f"{kind} {index}", done, len(wanted))
        predictions[kind].append(_cached(home, kind, index, data, forget))
    return Pool(data, forget, predictions)


def _key(data: ImageData, forget: ForgetSet) -> str:
    methods = {name: asdict(unlearning) for name, unlearning in METHODS.items()}
    settings = [data.fingerprint, forget.hash, ARCHITECTURE, TRAINING, methods, WRONG, NOISE]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def _cached(home: Path, kind: str, index: int, data: ImageData, forget: ForgetSet) -> Predictions:
    path = home / f"{kind.replace(' ', '-').replace('+', '-')}-{index:02d}.parquet"
    if not path.exists():
        from unlearn_audit.models.loading import save_model
        from unlearn_audit.models.prediction import predict

        model = _make(home, kind, index, data, forget)
        if kind == "original":
            save_model(model, _original_folder(home, index))
        predict(model, data, model_id=f"{kind} {index}").save(path)
    return Predictions.load(path)


def _original_folder(home: Path, index: int) -> Path:
    return home / f"original-{index:02d}"


def _make(home: Path, kind: str, index: int, data: ImageData, forget: ForgetSet) -> Any:
    from unlearn_audit.models.loading import create_model, load_model

    if kind in ("noisy original", *METHODS):
        original = load_model(_original_folder(home, index))
        return _noisy(original, index) if kind == "noisy original" else _unlearned(original, kind, index, data, forget)
    seed = 1000 * KINDS.index(kind) + index
    model = create_model(ARCHITECTURE, data.train, seed=seed)
    if kind == "untrained":
        return model
    wrong = ForgetSet.by_class(data.train, WRONG, fraction=0.5, seed=0)
    return _trained(model, data, {"retrained": forget, "wrong set": wrong}.get(kind), seed)


def _trained(model: Any, data: ImageData, forget: ForgetSet | None, seed: int) -> Any:
    from unlearn_audit.training import TrainingConfig, fit

    return fit(model, data.train, TrainingConfig(**TRAINING), seed=seed, forget=forget, progress=False).model


def _unlearned(original: Any, kind: str, seed: int, data: ImageData, forget: ForgetSet) -> Any:
    from unlearn_audit.methods import registry
    from unlearn_audit.training import TrainingConfig, unlearn

    settings = METHODS[kind]
    method = registry.load(settings.method)(seed=seed, **settings.arguments)
    training = {**method.training_defaults, "precision": "float32", "checkpoints": 0, **settings.training}
    return unlearn(original, data.train, forget, method, TrainingConfig(**training), progress=False).model


def _noisy(original: Any, seed: int) -> Any:
    """Return the original with noise added to its weights: a model that looks changed, and forgot nothing."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in original.parameters():
            if weights.dim() > 1:
                weights += NOISE * weights.std() * torch.randn(weights.shape, generator=generator)
    return original.eval()
