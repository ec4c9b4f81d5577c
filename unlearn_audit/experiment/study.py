"""A study as stages: what a configuration, its data and its forget set ask for, and running it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from unlearn_audit.data import ForgetSet, ImageData
from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.experiment.config import MethodConfig, StudyConfig, as_json
from unlearn_audit.experiment.engines import registry as engines
from unlearn_audit.experiment.stages import MANIFEST, Listener, Silence, Stage, Store, stage_named, with_needs
from unlearn_audit.saved.manifest import read_manifest
from unlearn_audit.training import TrainingConfig

# Fields of a training that do not change its result.
INCIDENTAL = ("checkpoints",)
# Tuning has seeds of its own, far from those of the models that are audited.
TUNING_SEED = 10_000


@dataclass(frozen=True, eq=False)
class Study:
    """A configuration as stages in a folder.

    Args:
        config: what to do.
        store: the folder of the stages.
        stages: all of them, each after what it needs; the last one is the report.
    """

    config: StudyConfig
    store: Store
    stages: tuple[Stage, ...]

    @classmethod
    def plan(cls, config: StudyConfig, output: str | Path | None = None) -> Study:
        """Load the data, choose the forget set and plan the stages; `output` is by default runs/<name>."""
        data = config.data.load()
        planner = Planner(config, data, config.forget.choose(data.train))
        store = Store(Path(output) if output else Path("runs") / config.name)
        return cls(config, store, with_needs([planner.report()]))

    def run(self, *, engine: str = "serial", only: str | None = None, listener: Listener | None = None) -> Path:
        """Complete all stages, or the one named by `only` and what it needs; return the folder of the last.

        After all stages, `report` in the study's folder leads to the report.

        Raises:
            ConfigurationError: where there is no such engine or stage.
        """
        stages = with_needs([stage_named(self.stages, only)]) if only else self.stages
        engines.load(engine)(stages, self.store, listener or Silence())
        folder = self.store.folder(stages[-1])
        if only is None:
            _link(self.store.root / "report", folder / "report")
        return folder


@dataclass(frozen=True, eq=False)
class Planner:
    """Makes the stages of a study from its configuration, its data and its forget set."""

    config: StudyConfig
    data: ImageData
    forget: ForgetSet

    def report(self) -> Stage:
        """The last stage: what people read."""
        return self._stage("report", needs={"audit": self.audit()})

    def audit(self) -> Stage:
        """The audit of all methods, from the predictions of all models."""
        config = self.config
        needs = {name: self.predictions(name, model) for name, model in self.models().items()}
        forget = self._stage("forget", inputs={"forget": self.forget.hash, "words": self.forget.description})
        return self._stage(
            "audit",
            inputs={
                "title": config.title,
                "candidates": self._roles(),
                "methods": {label: method.method for label, method in config.methods.items()},
                "references": config.references,
                "seed": config.seed,
                "neighbourhood": as_json(config.neighbourhood),
                "measures": config.measures,
                "policy": as_json(config.policy),
            },
            needs={"forget": forget, **needs},
        )

    def models(self) -> dict[str, Stage]:
        """All models by name: the original, K retrained, an untrained one, and J a method."""
        original = self._trained("original", seed=self.config.seed, forget=None)
        seeds = range(1, self.config.references + 1)
        return {
            "original": original,
            "untrained": self._untrained(),
            **{f"retrained-{k}": self._retrained(k) for k in seeds},
            **{
                name: self._unlearned(label, name, original, j)
                for label, names in self._roles().items()
                for j, name in enumerate(names, start=1)
            },
        }

    def predictions(self, name: str, model: Stage) -> Stage:
        """The predictions of one model on all examples."""
        config = self.config.predictions
        return self._stage(
            f"predict-{name}",
            kind="predictions",
            inputs={"precision": config.precision},
            needs={"model": model},
            settings={"batch_size": config.batch_size, "model_id": name},
        )

    def _roles(self) -> dict[str, list[str]]:
        """The names of the unlearned models of each method."""
        count = self.config.candidates
        return {
            label: [label] if count == 1 else [f"{label}-{j}" for j in range(1, count + 1)]
            for label in self.config.methods
        }

    def _untrained(self) -> Stage:
        inputs = {"model": as_json(self.config.model), "seed": self.config.seed}
        return self._stage("untrained", work="initialise", inputs=inputs)

    def _retrained(self, k: int) -> Stage:
        return self._trained(f"retrained-{k}", seed=self.config.seed + k, forget=self.forget.hash)

    def _trained(self, name: str, *, seed: int, forget: str | None) -> Stage:
        model, training = as_json(self.config.model), self.config.training
        return self._stage(
            name,
            kind="retrained" if forget else "original",
            work="train",
            inputs={"model": model, "forget": forget, "seed": seed, "training": _lasting(training)},
            settings={"training": _incidental(training)},
        )

    def _unlearned(self, label: str, name: str, original: Stage, j: int) -> Stage:
        method = self.config.methods[label]
        tuned = {} if method.search is None else {"tuned": self.tuned(label, original)}
        return self._stage(
            name,
            kind="unlearned",
            inputs=self._method(method, seed=self.config.seed + j),
            needs={"original": original, **tuned},
            settings={"training": _incidental(method.training)},
        )

    def tuned(self, label: str, original: Stage) -> Stage:
        """The search for the learning rate and length of a method, against a retrained model held out for it."""
        config, method = self.config, self.config.methods[label]
        seed = config.seed + TUNING_SEED
        held_out = self._trained("held-out", seed=seed, forget=self.forget.hash)
        return self._stage(
            f"tune-{label}",
            kind="tuned",
            inputs={
                **self._method(method, seed=seed),
                "search": as_json(method.search),
                "tuning": as_json(config.tuning),
                "neighbourhood": as_json(config.neighbourhood),
            },
            needs={
                "original": original,
                "predict-original": self.predictions("original", original),
                "predict-held-out": self.predictions("held-out", held_out),
            },
            settings={"training": _incidental(method.training)},
        )

    def _method(self, method: MethodConfig, *, seed: int) -> dict[str, Any]:
        return {
            "forget": self.forget.hash,
            "method": method.method,
            "options": dict(method.options),
            "training": _lasting(method.training),
            "seed": seed,
        }

    def _sources(self) -> dict[str, Any]:
        """Where stages find data and forget set; paths are absolute for workers in other folders."""
        data, forget = as_json(self.config.data), as_json(self.config.forget)
        for places, name in ((data, "source"), (data, "cache_dir"), (forget, "file")):
            if places[name] is not None and Path(places[name]).exists():
                places[name] = str(Path(places[name]).resolve())
        return {"data": data, "forget": forget}

    def _stage(
        self,
        name: str,
        *,
        kind: str | None = None,
        work: str | None = None,
        inputs: Mapping[str, Any] = MappingProxyType({}),
        settings: Mapping[str, Any] = MappingProxyType({}),
        needs: Mapping[str, Stage] = MappingProxyType({}),
    ) -> Stage:
        kind = kind or name
        return Stage(
            name=name,
            kind=kind,
            work=f"unlearn_audit.experiment.work:{work or kind}",
            inputs={"data": self.data.fingerprint, **inputs},
            settings={"sources": self._sources(), "threads": self.config.threads, **settings},
            needs=dict(needs),
        )


def model_folder_of(report: str | Path, candidate: str | None = None) -> Path:
    """Return the folder of a candidate's model, for a report that a study made.

    Raises:
        ConfigurationError: where there is no such candidate, or the report is not a study's.
    """
    report = Path(report)
    candidates = read_manifest(report).request.candidates
    if candidate is None and len(candidates) == 1:
        (candidate,) = candidates
    if candidate not in candidates:
        hint = did_you_mean(str(candidate), candidates)
        raise ConfigurationError(f"Expected the name of one candidate, got {candidate!r}.{hint}")
    predictions = (report / candidates[candidate].predictions[0]).parent
    manifest = predictions / MANIFEST
    if not manifest.is_file():
        raise ConfigurationError(
            f"Expected the report of a study to find the model of {candidate!r}, got another. Give its folder."
        )
    model = json.loads(manifest.read_text(encoding="utf-8"))["needs"]["model"]
    return predictions.parent / model / "model"


def _link(link: Path, target: Path) -> None:
    draft = link.with_name(f".{link.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)
    draft.replace(link)


def _lasting(training: TrainingConfig) -> dict[str, Any]:
    return as_json(training, without=INCIDENTAL)


def _incidental(training: TrainingConfig) -> dict[str, Any]:
    return {name: getattr(training, name) for name in INCIDENTAL}
