"""Tuning a method with Trainer's own search, against a retrained model held out for it."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn
from transformers import EvalPrediction, PrinterCallback, Trainer

from unlearn_audit.auditing.policy import Policy
from unlearn_audit.data.batches import ExampleDataset, collate
from unlearn_audit.data.images import Images
from unlearn_audit.errors import AuditError, ConfigurationError, ModelError
from unlearn_audit.experiment.journal import mended
from unlearn_audit.files import read_json, write_text
from unlearn_audit.measures import registry as measures
from unlearn_audit.neighbourhood import NeighbourhoodConfig, find_neighbourhood
from unlearn_audit.predictions import Predictions, matching_rows
from unlearn_audit.training import TrainingConfig, training_examples
from unlearn_audit.training.checkpoints import run_folder, training_inputs
from unlearn_audit.training.running import own_accelerator_state

if TYPE_CHECKING:
    import optuna
    from transformers import PreTrainedModel

    from unlearn_audit.data.forget import ForgetSet
    from unlearn_audit.methods.base import UnlearningCallback

GROUPS = ("forget", "near", "far")
_STUDY, _BATCH = "tuning", 512
_TINY = 1e-6  # the unit where a policy tolerates nothing
LOSS_WEIGHT = 10.0  # of a tolerance of retained confidence that is lost: more than is gained by losing it
Option = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """What to try.

    Attributes:
        learning_rate: the lowest and the highest; drawn evenly on a logarithmic scale; none leaves the training's own.
        epochs: numbers of epochs to choose from; none leaves the training's own.
        options: values to choose from, by the name of an option of the method: `{alpha: [0.001, 0.1]}`.
    """

    learning_rate: tuple[float, ...] = ()
    epochs: tuple[float, ...] = ()
    options: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rates = self.learning_rate
        if not (rates or self.epochs or self.options):
            raise ConfigurationError("Expected learning_rate, epochs or options to search, got none of them.")
        if rates and (len(rates) != 2 or not 0 < rates[0] <= rates[1] < math.inf):
            raise ConfigurationError(
                f"Expected learning_rate to be the lowest and the highest to try, positive, got {list(rates)}."
            )
        if any(number <= 0 for number in self.epochs):
            raise ConfigurationError(f"Expected epochs to be positive numbers to choose from, got {list(self.epochs)}.")

        if empty := [name for name, values in self.options.items() if not values]:
            raise ConfigurationError(f"Expected values to choose from for the option {empty[0]!r}, got none.")

    def draw(self, trial: optuna.Trial) -> dict[str, float]:
        """Let Optuna choose how to train; the names are those of `TrainingArguments`."""
        chosen: dict[str, float] = {}
        if self.learning_rate:
            chosen["learning_rate"] = trial.suggest_float("learning_rate", *self.learning_rate, log=True)
        if self.epochs:
            chosen["num_train_epochs"] = trial.suggest_categorical("num_train_epochs", list(self.epochs))
        return chosen

    def corners(self) -> list[dict[str, Option]]:
        """Return the options to check before any training: each value of each, beside the others' own."""
        return [{}, *({name: value} for name, values in self.options.items() for value in values)]

    def draw_options(self, trial: optuna.Trial) -> dict[str, Any]:
        """Let Optuna choose the method's options."""
        return {name: trial.suggest_categorical(f"options.{name}", list(each)) for name, each in self.options.items()}


@dataclass(frozen=True)
class Distance:
    """How far a model is from the held-out one, by group of `GROUPS`.

    Attributes:
        pattern: mean Jensen-Shannon divergence, bits.
        level: mean confidence in the label minus the held-out model's, in [-1, 1].
    """

    pattern: Mapping[str, float]
    level: Mapping[str, float]


@dataclass(frozen=True)
class Trial:
    """One try.

    Attributes:
        learning_rate: that was tried.
        epochs: that were trained.
        options: of the method, that were tried.
        distance: from the held-out model.
        objective: see `Goal.objective`; the trial with the least is the best.
        seconds: of training and evaluation.
    """

    learning_rate: float
    epochs: float
    options: Mapping[str, Option]
    distance: Distance
    objective: float
    seconds: float


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        training: with the best values.
        options: the best of those of the method's options that were searched.
        trials: all that ended with finite weights, in the order in which they were made.
        diverged: how many did not.
    """

    training: TrainingConfig
    options: Mapping[str, Option]
    trials: tuple[Trial, ...]
    diverged: int = 0


@dataclass(frozen=True, eq=False)
class Goal:
    """What a held-out retrained model predicts on training examples of three groups: forget, near and far retain.

    Attributes:
        rows: (m,) rows of the training examples.
        group: (m,) int, index into `GROUPS`.
        logits: (m, c) of the held-out model.
        labels: (m,).
        policy: its tolerances are the units of the objective.
        unchanged: distance of the original model, which did nothing.
    """

    rows: np.ndarray
    group: np.ndarray
    logits: np.ndarray
    labels: np.ndarray
    policy: Policy
    unchanged: Distance

    @classmethod
    def of(
        cls,
        held_out: Predictions,
        original: Predictions,
        forget: ForgetSet,
        images: Images,
        *,
        neighbourhood: NeighbourhoodConfig,
        policy: Policy | None = None,
        strata: int = 2,
        most: int = 1000,
        seed: int = 0,
    ) -> Goal:
        """Choose the examples: of each group at most `most`, drawn by `seed`.

        Args:
            held_out: predictions of a retrained model that no audit uses as a reference.
            original: predictions of the original model; its embeddings give the neighbourhood.
            forget: the forget set.
            images: the training examples.
            neighbourhood: how proximity and strata are made.
            policy: whose tolerances are the units of the objective; the default one, if None.
            strata: how many of the nearest strata are "near".
            most: examples a group.
            seed: of the choice.

        Raises:
            AuditError: where a group holds no example.
        """
        stratum = _stratum(held_out, original, forget, neighbourhood)
        row_of = {example: row for row, example in enumerate(images.ids.tolist())}
        rows = np.array([row_of.get(example, -1) for example in held_out.example_ids.tolist()])
        forgotten, near = np.isin(held_out.example_ids, list(forget.ids)), stratum < strata
        kinds = [(rows >= 0) & kind for kind in (forgotten, ~forgotten & near, ~forgotten & ~near)]
        rng = np.random.default_rng(seed)
        drawn = [_some(np.flatnonzero(kind), most, rng, name) for kind, name in zip(kinds, GROUPS, strict=True)]
        chosen = np.concatenate(drawn)
        group = np.repeat(np.arange(len(GROUPS)), [len(part) for part in drawn])
        none = Distance({}, {})
        expected = held_out.logits[chosen], held_out.labels[chosen]
        goal = cls(rows[chosen], group, *expected, policy or Policy(), none)
        place = {example: position for position, example in enumerate(original.example_ids.tolist())}
        before = original.logits[[place[example] for example in held_out.example_ids[chosen].tolist()]]
        return dataclasses.replace(goal, unchanged=goal.distance(before))

    @property
    def hash(self) -> str:
        """SHA-256, in hex, over the examples and what the held-out model predicts on them."""
        digest = hashlib.sha256()
        for values in (self.rows, self.group, self.logits, self.labels):
            digest.update(np.ascontiguousarray(values).data)
        digest.update(f"{self.policy.level} {self.policy.pattern} {LOSS_WEIGHT}".encode())
        return digest.hexdigest()

    def distance(self, logits: np.ndarray) -> Distance:
        """Return how far logits (m, c) are from the held-out model's.

        Logits that are not finite, as those of a model that diverged, count as the largest divergence, 1 bit, and as no
        confidence.
        """
        finite = np.isfinite(logits).all(axis=1)
        safe = np.where(finite[:, None], logits, 0.0)
        divergence = measures.create("js").of_logits(safe, self.logits, self.labels).numpy()
        gained = np.where(finite, self._confidence(safe), 0.0) - self._confidence(self.logits)
        return Distance(self._means(np.where(finite, divergence, 1.0)), self._means(gained))

    def objective(self, distance: Distance) -> float:
        """Return how far a model is from having forgotten without harm, in tolerances of the policy; at least 0.

        The sum of the level on the forget set (without sign), the pattern on the forget set, the pattern on the near
        examples, and `LOSS_WEIGHT` times the confidence that near or far examples lost beyond one tolerance. Two
        retrained models differ in pattern, too: this adds about the same to all trials, and leaves their order.
        """
        level, pattern = self.policy.level or _TINY, self.policy.pattern or _TINY
        lost = max(-distance.level["near"], -distance.level["far"]) / level
        patterns = (distance.pattern["forget"] + distance.pattern["near"]) / pattern
        return float(abs(distance.level["forget"]) / level + patterns + LOSS_WEIGHT * max(0.0, lost - 1))

    def _confidence(self, logits: np.ndarray) -> np.ndarray:
        probabilities = torch.as_tensor(logits, dtype=torch.float64).softmax(dim=1).numpy()
        found: np.ndarray = probabilities[np.arange(len(self.labels)), self.labels]
        return found

    def _means(self, values: np.ndarray) -> dict[str, float]:
        return {name: float(values[self.group == index].mean()) for index, name in enumerate(GROUPS)}


def _stratum(
    held_out: Predictions, original: Predictions, forget: ForgetSet, config: NeighbourhoodConfig
) -> np.ndarray:
    """Return the stratum (n,) of each of the held-out model's examples, from the original's embeddings."""
    rows, is_forget = matching_rows(held_out, original), np.isin(held_out.example_ids, list(forget.ids))
    embeddings = original.embeddings
    found = find_neighbourhood(
        config,
        embeddings if embeddings is None or rows is None else embeddings[rows],
        is_forget=is_forget,
        is_retain=~is_forget & (held_out.splits != "test"),
        labels=held_out.labels,
    )
    return found.stratum


def _some(rows: np.ndarray, most: int, rng: np.random.Generator, name: str) -> np.ndarray:
    if not len(rows):
        raise AuditError(f"Expected training examples of the group {name!r} to tune on, found none.")
    return np.sort(rng.choice(rows, size=min(most, len(rows)), replace=False))


def tune(
    original: nn.Module,
    images: Images,
    forget: ForgetSet,
    method: UnlearningCallback,
    training: TrainingConfig,
    *,
    search: SearchConfig,
    goal: Goal,
    trials: int,
    folder: str | Path,
    most_seconds: float | None = None,
    advanced: Callable[[int, int], None] = lambda done, total: None,
) -> Tuned:
    """Unlearn `trials` times with other rates, numbers of epochs and options, each from the original's weights.

    The search is `Trainer.hyperparameter_search` with Optuna's TPE; the first half of the trials is drawn at random.
    It goes on from what a search with the same inputs left in `folder`, with the same trials as if it had not been
    interrupted.

    Args:
        original: the original model; it stays as it is.
        images: the training examples, forget and retain.
        forget: which of them to forget.
        method: the unlearning method; what it prepares (a teacher, a mask) is prepared once, or where its options are
            searched, for each trial.
        training: how to train, but for what is searched.
        search: what to try.
        goal: what the unlearned model should predict.
        trials: how many.
        folder: for the search's journal, which lies in a folder of its own for each set of inputs.
        most_seconds: only trials that took at most this long, with what the method prepares, can be the best.
        advanced: is told how many trials of all are done.

    Raises:
        ConfigurationError: where Optuna is not installed.
        ModelError: where no trial ends with finite weights, or none within `most_seconds`.
    """
    optuna = _optuna()
    examples = training_examples(original, images, forget, augment=training.augment, seed=method.seed)
    start = time.perf_counter()
    dataset = method.prepare(original, examples)
    prepared = 0.0 if search.options else time.perf_counter() - start  # else each trial prepares anew
    inputs = training_inputs(original, dataset, training, method.seed, method)
    tried = {"search": dataclasses.asdict(search), "trials": trials, "goal": goal.hash}
    folder = run_folder(folder, {**inputs, **tried})
    prepared = _kept(folder / "prepared.json", prepared)
    journal = optuna.storages.journal.JournalFileBackend(str(mended(folder / "journal.jsonl")))
    kept = {"study_name": _STUDY, "storage": optuna.storages.JournalStorage(journal), "load_if_exists": True}
    made = _finished(optuna, optuna.create_study(direction="minimize", **kept))
    with own_accelerator_state():
        trainer = _trainer(original, method, training, dataset, examples, goal, folder / "trainer")
        for number in range(len(made), trials):
            advanced(number, trials)
            sampler = optuna.samplers.TPESampler(seed=method.seed + number, n_startup_trials=trials // 2)
            _try(trainer, _Tries(search, goal, method, original, examples), sampler, kept)
    made = _finished(optuna, optuna.load_study(study_name=_STUDY, storage=kept["storage"]))
    advanced(trials, trials)
    found = tuple(_trial(entry, training) for entry in made[:trials] if math.isfinite(entry.value))
    if not found:
        raise ModelError(
            f"Expected finite weights after one trial at least, and all {trials} diverged. Search lower learning rates "
            "or fewer epochs."
        )
    best = min(_affordable(found, prepared, most_seconds), key=lambda trial: trial.objective)
    rate = float(f"{best.learning_rate:.3g}") if search.learning_rate else training.learning_rate  # as recipes write it
    training = dataclasses.replace(training, learning_rate=rate, epochs=best.epochs)
    return Tuned(training, best.options, found, diverged=trials - len(found))


def _kept(path: Path, seconds: float) -> float:
    """Return the seconds that `path` holds; where there is none, write these: what goes on finds a teacher ready."""
    if not path.is_file():
        write_text(path, json.dumps(seconds))
    return float(read_json(path))


def _affordable(trials: Sequence[Trial], prepared: float, most: float | None) -> list[Trial]:
    """Return the trials that took at most `most` seconds, with what was prepared once for all of them."""
    if most is None:
        return list(trials)
    found = [trial for trial in trials if trial.seconds + prepared <= most]
    if not found:
        least = min(trial.seconds for trial in trials) + prepared
        raise ModelError(
            f"Expected a trial of at most {most:.3g} s (tuning.most_cost), and the shortest took {least:.3g} s. Search "
            "fewer epochs, or allow more."
        )
    return found


class _Trying(Trainer):
    """A Trainer for which a trial that diverges is the worst there is, and not the end of the search."""

    def train(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().train(*args, **kwargs)
        except ModelError:
            self.objective: float | None = math.inf  # in place of an evaluation
            return None


def _trainer(
    original: nn.Module,
    method: UnlearningCallback,
    training: TrainingConfig,
    examples: ExampleDataset,
    split: ExampleDataset,
    goal: Goal,
    folder: Path,
) -> Trainer:
    """Return a Trainer that begins each trial from the original's weights, and evaluates on the goal's examples."""
    arguments = dataclasses.replace(training, checkpoints=0).arguments(folder, method.seed, progress=False)
    arguments.per_device_eval_batch_size = _BATCH
    trainer = _Trying(
        model_init=lambda: cast("PreTrainedModel", copy.deepcopy(original).to(memory_format=torch.channels_last)),
        args=arguments,
        train_dataset=examples,
        eval_dataset=split.subset(torch.as_tensor(goal.rows)).without_augmentation(),
        data_collator=collate,
        compute_metrics=lambda found: _as_metrics(goal.distance(_logits(found))),
        callbacks=[method],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ConfigurationError(
            "Expected Optuna to search for learning rates, and it is not installed: pip install 'unlearn-audit[tune]'."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _finished(optuna: Any, study: optuna.Study) -> list[Any]:
    """Return the complete trials; those that a kill cut off are given up."""
    for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study.get_trials(states=[optuna.trial.TrialState.COMPLETE])


@dataclass(frozen=True, eq=False)
class _Tries:
    """What a trial draws from and is measured by."""

    search: SearchConfig
    goal: Goal
    method: UnlearningCallback
    original: nn.Module
    examples: ExampleDataset

    def set_options(self, trainer: Trainer, trial: optuna.Trial) -> None:
        """Let the trainer unlearn by the method with other options."""
        if self.search.options:
            method = dataclasses.replace(self.method, **self.search.draw_options(trial))
            trainer.pop_callback(type(method))
            trainer.train_dataset = method.prepare(self.original, self.examples)
            trainer.add_callback(method)

    def values(self, trainer: Trainer, trial: optuna.Trial) -> dict[str, float]:
        """Return what a trial trains with, and let the method set up its new model as that of any Trainer."""
        found = self.search.draw(trial)
        for name, value in found.items():
            setattr(trainer.args, name, value)  # as Trainer will, but before a method plans its steps
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, type(self.method)):
                callback.on_init_end(trainer.args, trainer.state, trainer.control, model=trainer.model)
        return found


def _try(trainer: Trainer, tries: _Tries, sampler: Any, kept: Mapping[str, Any]) -> None:
    """Make one trial, and keep with it what it measured."""
    begin = time.perf_counter()
    drawn: list[optuna.Trial] = []

    def draw(trial: optuna.Trial) -> dict[str, float]:
        drawn.append(trial)
        tries.set_options(trainer, trial)
        return tries.values(trainer, trial)

    def objective(metrics: Mapping[str, float]) -> float:
        kinds = ("pattern", "level")
        distance = Distance(*({name: metrics[f"eval_{kind}_{name}"] for name in GROUPS} for kind in kinds))
        drawn[-1].set_user_attr("distance", dataclasses.asdict(distance))
        drawn[-1].set_user_attr("seconds", round(time.perf_counter() - begin, 3))
        return tries.goal.objective(distance)

    trainer.hyperparameter_search(
        draw, objective, n_trials=1, direction="minimize", backend="optuna", sampler=sampler, **kept
    )


def _trial(entry: Any, training: TrainingConfig) -> Trial:
    return Trial(
        learning_rate=entry.params.get("learning_rate", training.learning_rate),
        epochs=entry.params.get("num_train_epochs", training.epochs),
        options={
            name.removeprefix("options."): value for name, value in entry.params.items() if name.startswith("options.")
        },
        distance=Distance(**entry.user_attrs["distance"]),
        objective=entry.value,
        seconds=entry.user_attrs["seconds"],
    )


def _as_metrics(distance: Distance) -> dict[str, float]:
    return {f"{kind}_{name}": value for kind, of in dataclasses.asdict(distance).items() for name, value in of.items()}


def _logits(found: EvalPrediction) -> np.ndarray:
    predictions = found.predictions[0] if isinstance(found.predictions, tuple) else found.predictions
    return np.asarray(predictions, dtype=np.float32)
