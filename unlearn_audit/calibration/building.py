"""Building a pool: training and unlearning models of known nature, each done once and kept until the pool is whole."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.calibration.draws import FOLLOWING
from unlearn_audit.calibration.pool import HONEST, ORIGINAL, Pool
from unlearn_audit.data import ForgetSet, ImageData, load_images
from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.neighbourhood import find_neighbourhood
from unlearn_audit.populations import FORGET, RETAIN, TEST
from unlearn_audit.predictions import Predictions

if TYPE_CHECKING:
    from torch import nn

WRONG_SET = "retrained without another set"
NOISY = "original with noise"
NOISE = 0.05  # standard deviation of the noise on each weight tensor, as a share of the tensor's own
SEEDS = {HONEST: 0, ORIGINAL: 1000, WRONG_SET: 3000}  # of the first model of a kind

CLASSES = ("baby", "boy", "girl", "man", "woman", "road", "bicycle", "chair", "lawn_mower", "orange")


@dataclass(frozen=True)
class Unlearning:
    """An unlearning method with the settings that a pool uses."""

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PoolRecipe:
    """How the models of a pool are made.

    Attributes:
        name: of the pool.
        source: of the images, as `load_images` takes it.
        classes: that are kept; empty keeps all.
        image_size: images are resized to it; None leaves them.
        forgotten: half of this class is deleted.
        wrong: half of this class is deleted instead, in models of the wrong set.
        architecture: of all models, with its arguments.
        training: fields of `TrainingConfig`.
        methods: by the kind of model that they make.
        retrained: how many honest models.
        others: how many of every other kind.
    """

    name: str
    source: str
    forgotten: str
    wrong: str
    training: Mapping[str, Any]
    methods: Mapping[str, Unlearning]
    classes: tuple[str, ...] = ()
    image_size: int | None = None
    architecture: str = "resnet8"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    retrained: int = 26
    others: int = 4

    def load(self, source: str | None = None) -> ImageData:
        """Load the images, those of the classes that are kept."""
        options = {} if self.image_size is None else {"image_size": self.image_size}
        return load_images(source or self.source, classes=self.classes, **options)

    def models(self) -> list[tuple[str, int]]:
        """Return kind and index of every model: originals first, because methods start from them."""
        kinds = [ORIGINAL, HONEST, WRONG_SET, NOISY, *self.methods]
        return [(kind, i) for kind in kinds for i in range(self.retrained if kind == HONEST else self.others)]


RECIPES: dict[str, PoolRecipe] = {
    "digits": PoolRecipe(
        name="digits",
        source="digits",
        forgotten="8",
        wrong="3",
        training={"epochs": 10, "batch_size": 128, "learning_rate": 0.1},
        methods={
            "FT": Unlearning("finetune", {}, {"epochs": 3, "learning_rate": 1e-2}),
            "RL + FT": Unlearning("random_labels", {"retain_share": 1.0}, {"epochs": 3, "learning_rate": 1e-2}),
            "GA": Unlearning("gradient_ascent", {"freeze_batchnorm": True}, {"epochs": 5, "learning_rate": 1e-3}),
            "LTD": Unlearning(
                "local_teacher_distillation",
                {"n_support": 300, "teacher_epochs": 30},
                {"epochs": 5, "learning_rate": 1e-3},
            ),
        },
    ),
    "memorising": PoolRecipe(
        name="memorising",
        source="uoft-cs/cifar100",
        classes=CLASSES,
        image_size=16,
        forgotten="boy",
        wrong="orange",
        arguments={"width": 32},
        training={"epochs": 30, "batch_size": 64, "learning_rate": 0.1, "weight_decay": 0.0, "augment": False},
        methods={
            "FT": Unlearning("finetune", {}, {"epochs": 3, "learning_rate": 1e-2}),
            "RL + FT": Unlearning("random_labels", {"retain_share": 1.0}, {"epochs": 8, "learning_rate": 1e-2}),
            "GA": Unlearning("gradient_ascent", {"freeze_batchnorm": True}, {"epochs": 4, "learning_rate": 1e-3}),
            "LTD": Unlearning(
                "local_teacher_distillation",
                {"n_support": 1000, "teacher_epochs": 30},
                {"epochs": 5, "learning_rate": 1e-3},
            ),
        },
    ),
    "generalising": PoolRecipe(
        name="generalising",
        source="uoft-cs/cifar100",
        classes=CLASSES,
        forgotten="boy",
        wrong="orange",
        training={"epochs": 15, "batch_size": 128, "learning_rate": 0.2},
        methods={
            "FT": Unlearning("finetune", {}, {"epochs": 3, "learning_rate": 1e-2}),
            "RL + FT": Unlearning("random_labels", {"retain_share": 1.0}, {"epochs": 3, "learning_rate": 1e-2}),
            "GA": Unlearning("gradient_ascent", {"freeze_batchnorm": True}, {"epochs": 8, "learning_rate": 2e-4}),
            "LTD": Unlearning(
                "local_teacher_distillation",
                {"n_support": 1000, "teacher_epochs": 30},
                {"epochs": 3, "learning_rate": 1e-3},
            ),
        },
    ),
}


def build_pool(
    name: str,
    folder: str | Path,
    *,
    source: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Pool:
    """Train all models of a pool, and return it; what `folder` holds already is not trained again.

    Args:
        name: "digits", "memorising" or "generalising".
        folder: for models and their predictions, in a folder of its own for each recipe.
        source: of the images, if not the recipe's: a folder with CIFAR-100.
        progress: called before each model with its name, how many are done, and how many there are.

    Raises:
        ConfigurationError: for an unknown pool.
    """
    if name not in RECIPES:
        raise ConfigurationError(f"There is no pool {name!r}.{did_you_mean(name, RECIPES)}")
    recipe = RECIPES[name]
    data = recipe.load(source)
    maker = _Maker(recipe, data, Path(folder) / f"{name}-{_key(recipe, data)}")
    wanted = recipe.models()
    found: dict[str, list[Predictions]] = {}
    for done, (kind, index) in enumerate(wanted):
        if progress is not None:
            progress(f"{kind} {index}", done, len(wanted))
        found.setdefault(kind, []).append(maker.predictions(kind, index))
    return _packed(recipe, maker.forget, found)


def _key(recipe: PoolRecipe, data: ImageData) -> str:
    settings = {**dataclasses.asdict(recipe), "retrained": None, "others": None, "source": None}
    text = json.dumps([settings, data.fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _packed(recipe: PoolRecipe, forget: ForgetSet, found: Mapping[str, list[Predictions]]) -> Pool:
    first = found[ORIGINAL][0]
    is_forget = np.isin(first.example_ids, list(forget.ids))
    population = np.where(first.splits == "test", TEST, np.where(is_forget, FORGET, RETAIN))
    proximity = [
        find_neighbourhood(
            embeddings=original.embeddings, is_forget=is_forget, is_retain=population == RETAIN, labels=first.labels
        ).nearness
        for original in found[ORIGINAL]
    ]
    logits = {kind: np.stack([p.logits for p in models]).astype(np.float16) for kind, models in found.items()}
    header = {**dataclasses.asdict(recipe), "num_classes": first.num_classes, FOLLOWING: [NOISY, *recipe.methods]}
    return Pool(
        recipe.name,
        first.example_ids,
        first.labels,
        population,
        np.stack(proximity).astype(np.float32),
        logits,
        header,
    )


@dataclass(frozen=True, eq=False)
class _Maker:
    """Makes the models of one recipe in one folder."""

    recipe: PoolRecipe
    data: ImageData
    folder: Path

    @property
    def forget(self) -> ForgetSet:
        """Half of the forgotten class."""
        return ForgetSet.by_class(self.data.train, self.recipe.forgotten, fraction=0.5, seed=0)

    def predictions(self, kind: str, index: int) -> Predictions:
        """Return one model's predictions, making the model if they are not there."""
        path = self.folder / f"{kind.replace(' ', '-').replace('+', 'and')}-{index:02d}.parquet"
        if not path.exists():
            from unlearn_audit.models import predict, save_model

            self.folder.mkdir(parents=True, exist_ok=True)
            model = self._make(kind, index)
            if kind == ORIGINAL:
                save_model(model, self._original(index))
            predict(model, self.data, model_id=f"{kind} {index}").save(path)
        return Predictions.load(path)

    def _original(self, index: int) -> Path:
        return self.folder / f"original-{index:02d}"

    def _make(self, kind: str, index: int) -> nn.Module:
        from unlearn_audit.models import load_model

        if kind == NOISY:
            return _noisy(load_model(self._original(index)), index)
        if kind in self.recipe.methods:
            return self._unlearned(load_model(self._original(index)), self.recipe.methods[kind], index)
        return self._trained(kind, SEEDS[kind] + index)

    def _trained(self, kind: str, seed: int) -> nn.Module:
        from unlearn_audit.models import create_model
        from unlearn_audit.training import TrainingConfig, fit

        images = self.data.train
        model = create_model(self.recipe.architecture, images, seed=seed, **self.recipe.arguments)
        config = TrainingConfig(**{"precision": "float32", "checkpoints": 0, **self.recipe.training})
        wrong = ForgetSet.by_class(images, self.recipe.wrong, fraction=0.5, seed=0)
        left_out = {HONEST: self.forget, WRONG_SET: wrong}.get(kind)
        return fit(model, images, config, seed=seed, forget=left_out, progress=False).model

    def _unlearned(self, original: nn.Module, settings: Unlearning, seed: int) -> nn.Module:
        from unlearn_audit.methods import registry
        from unlearn_audit.training import TrainingConfig, unlearn

        method = registry.load(settings.method)(seed=seed, **settings.options)
        augment = self.recipe.training.get("augment", True)
        training = {**method.training_defaults, "precision": "float32", "checkpoints": 0, "augment": augment}
        training |= {"batch_size": self.recipe.training["batch_size"], **settings.training}
        return unlearn(original, self.data.train, self.forget, method, TrainingConfig(**training), progress=False).model


def _noisy(original: nn.Module, seed: int) -> nn.Module:
    """Return the original with noise on its weights: a model that looks changed, and forgot nothing."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in original.parameters():
            if weights.dim() > 1:
                weights.add_(torch.randn(weights.shape, generator=generator), alpha=NOISE * float(weights.std()))
    return original.eval()
