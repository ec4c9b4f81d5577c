"""What the stages of a study do: each a function of its `Work`, a few lines around the library."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, wraps
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import TrainerCallback

from unlearn_audit.auditing.verdict import Policy
from unlearn_audit.data import ForgetSet, ImageData
from unlearn_audit.errors import DataError
from unlearn_audit.experiment.config import DataConfig, ForgetConfig, MethodConfig
from unlearn_audit.experiment.stages import Stage, Work
from unlearn_audit.experiment.tuning import Goal, SearchConfig, tune
from unlearn_audit.models import create_model, load_model, predict, save_model, weights_hash
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions import Predictions
from unlearn_audit.saved.request import AuditRequest, ModelFiles
from unlearn_audit.saved.running import run_audit, save_audit
from unlearn_audit.training import TrainingConfig, TrainingRun, fit, unlearn

if TYPE_CHECKING:
    from unlearn_audit.methods.base import UnlearningCallback


@lru_cache(maxsize=2)
def _load(sources: str) -> tuple[ImageData, ForgetSet]:
    parts = json.loads(sources)
    data = DataConfig(**parts["data"]).load()
    return data, ForgetConfig(**parts["forget"]).choose(data.train)


def load_examples(stage: Stage) -> tuple[ImageData, ForgetSet]:
    """Load the data and the forget set that a stage was planned for; a process loads them once.

    Raises:
        DataError: where they are no longer what they were when the study was planned.
    """
    data, forget = _load(json.dumps(stage.settings["sources"]))
    planned = {"data": data.fingerprint, "forget": forget.hash}
    for what, found in planned.items():
        if stage.inputs.get(what) not in (None, found):
            raise DataError(
                f"Stage {stage.name}: expected the {what} that the run was planned for "
                f"({stage.inputs[what][:12]}…), found {found[:12]}…. It changed since; start the run again."
            )
    return data, forget


class _Steps(TrainerCallback):
    """Tells a stage how many optimizer steps of all are done."""

    def __init__(self, work: Work):
        self._work = work

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._work.advanced(state.global_step, state.max_steps)


def _threaded(function: Callable[[Work], Mapping[str, Any]]) -> Callable[[Work], Mapping[str, Any]]:
    """Let a stage use as many threads of the CPU as the study says."""

    @wraps(function)
    def limited(work: Work) -> Mapping[str, Any]:
        before, wanted = torch.get_num_threads(), work.stage.settings["threads"]
        torch.set_num_threads(wanted or before)
        try:
            return function(work)
        finally:
            torch.set_num_threads(before)

    return limited


@_threaded
def train(work: Work) -> Mapping[str, Any]:
    """Train the original model, or a retrained one where the inputs name a forget set."""
    data, forget = load_examples(work.stage)
    inputs = work.stage.inputs
    run = fit(
        _new_model(work, data),
        data.train,
        _training(work),
        seed=inputs["seed"],
        output_dir=work.folder / "checkpoints",
        forget=forget if inputs["forget"] else None,
        progress=False,
        callbacks=[_Steps(work)],
    )
    return _save(work, run)


def initialise(work: Work) -> Mapping[str, Any]:
    """Make an untrained model."""
    data, _ = load_examples(work.stage)
    return _save(work, TrainingRun(_new_model(work, data), seconds=0.0, cpu_seconds=0.0, examples=0, steps=0))


def _new_model(work: Work, data: ImageData) -> nn.Module:
    model, seed = work.stage.inputs["model"], work.stage.inputs["seed"]
    return create_model(model["name"], data.train, seed=seed, **model["arguments"])


@_threaded
def unlearned(work: Work) -> Mapping[str, Any]:
    """Make the original model forget, with one method, as it was tuned if it was."""
    data, forget = load_examples(work.stage)
    training = _training(work)
    if "tuned" in work.needs:
        training = dataclasses.replace(training, **work.results_of("tuned")["found"])
    run = unlearn(
        load_model(work.needs["original"] / "model"),
        data.train,
        forget,
        _method(work, training),
        training,
        output_dir=work.folder / "checkpoints",
        progress=False,
        callbacks=[_Steps(work)],
    )
    return {**_save(work, run), "training": dataclasses.asdict(training)}


@_threaded
def tuned(work: Work) -> Mapping[str, Any]:
    """Search for a method's learning rate and length; every trial is kept."""
    data, forget = load_examples(work.stage)
    inputs, training = work.stage.inputs, _training(work)
    predicted = {
        role: Predictions.load(work.needs[role] / "predictions.parquet")
        for role in ("predict-held-out", "predict-original")
    }
    goal = Goal.of(
        *predicted.values(),
        forget,
        data.train,
        neighbourhood=NeighbourhoodConfig(**inputs["neighbourhood"]),
        strata=inputs["tuning"]["strata"],
        seed=inputs["seed"],
    )
    found = tune(
        load_model(work.needs["original"] / "model"),
        data.train,
        forget,
        _method(work, training),
        training,
        search=SearchConfig(**inputs["search"]),
        goal=goal,
        trials=inputs["tuning"]["trials"],
        folder=work.folder / "checkpoints",
        advanced=work.advanced,
    )
    shutil.rmtree(work.folder / "checkpoints", ignore_errors=True)
    best = {name: getattr(found.training, name) for name in ("learning_rate", "epochs")}
    return {"found": best, "trials": [dataclasses.asdict(trial) for trial in found.trials]}


def _method(work: Work, training: TrainingConfig) -> UnlearningCallback:
    inputs = work.stage.inputs
    options = dict(inputs["options"])
    if "teacher_folder" in options:
        options["teacher_folder"] = str(work.folder / "checkpoints" / "teacher")
    return MethodConfig(method=inputs["method"], options=options, training=training).make(seed=inputs["seed"])


def _training(work: Work) -> TrainingConfig:
    return TrainingConfig(**work.stage.inputs["training"], **work.stage.settings["training"])


def _save(work: Work, run: TrainingRun) -> Mapping[str, Any]:
    save_model(run.model, work.folder / "model")
    shutil.rmtree(work.folder / "checkpoints", ignore_errors=True)
    return {
        "seconds": run.seconds,
        "cpu_seconds": run.cpu_seconds,
        "examples": run.examples,
        "steps": run.steps,
        "weights_hash": weights_hash(run.model),
        "log": list(run.log),
    }


@_threaded
def predictions(work: Work) -> Mapping[str, Any]:
    """Write the logits and embeddings of one model on all examples; hands on what the model cost."""
    data, _ = load_examples(work.stage)
    found = predict(
        load_model(work.needs["model"] / "model"),
        data,
        batch_size=work.stage.settings["batch_size"],
        precision=work.stage.inputs["precision"],
        model_id=work.stage.settings["model_id"],
    )
    found.save(work.folder / "predictions.parquet")
    return {"model": {name: item for name, item in work.results_of("model").items() if name != "log"}}


def forget(work: Work) -> Mapping[str, Any]:
    """Write the forget set."""
    _, forget = load_examples(work.stage)
    forget.save(work.folder / "forget.json")
    return {"size": len(forget)}


def audit(work: Work) -> Mapping[str, Any]:
    """Audit all candidates, and write the report as figures."""
    data, _ = load_examples(work.stage)
    inputs = work.stage.inputs
    base = work.folder.parent
    request = AuditRequest(
        candidates={
            label: _files(work, names, seed=inputs["seed"] + 1, method=inputs["methods"][label])
            for label, names in inputs["candidates"].items()
        },
        references={
            f"retrained-{k}": _files(work, [f"retrained-{k}"], seed=inputs["seed"] + k)
            for k in range(1, inputs["references"] + 1)
        },
        forget=f"{work.needs['forget'].name}/forget.json",
        original=_files(work, ["original"], seed=inputs["seed"]),
        untrained=_files(work, ["untrained"], seed=inputs["seed"]),
        neighbourhood=NeighbourhoodConfig(**inputs["neighbourhood"]),
        policy=Policy(**inputs["policy"]),
        measures=tuple(inputs["measures"]),
        class_names=data.train.class_names,
        title=inputs["title"],
    )
    found = run_audit(request, base=base)
    save_audit(found, request, work.folder / "report", base=base)
    return {"verdicts": {name: verdict.outcome for name, verdict in found.report.verdicts.items()}}


def _files(work: Work, names: Sequence[str], *, seed: int, method: str | None = None) -> ModelFiles:
    """Return the predictions of J models of one method, and their mean cost."""
    models = [work.results_of(name)["model"] for name in names]
    return ModelFiles(
        predictions=tuple(f"{work.needs[name].name}/predictions.parquet" for name in names),
        method=method,
        seed=seed,
        seconds=fmean(model["seconds"] for model in models),
        examples=round(fmean(model["examples"] for model in models)),
    )


def report(work: Work) -> Mapping[str, Any]:
    """Turn the figures of the audit into what people read."""
    from unlearn_audit.reporting.folder import render_folder

    folder = work.folder / "report"
    shutil.copytree(work.needs["audit"] / "report", folder, dirs_exist_ok=True)
    data, _ = load_examples(work.stage)
    written = render_folder(folder, images=data)
    return {"written": sorted(path.relative_to(folder).as_posix() for path in written)}
