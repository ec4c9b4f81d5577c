"""What the stages of a study do: each a function of its `Work`, a few lines around the library."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from transformers import TrainerCallback

from unlearn_audit.data import ForgetSet, ImageData
from unlearn_audit.errors import DataError
from unlearn_audit.experiment.config import DataConfig, ForgetConfig, MethodConfig
from unlearn_audit.experiment.stages import Stage, Work
from unlearn_audit.models import create_model, load_model, predict, save_model, weights_hash
from unlearn_audit.training import TrainingConfig, TrainingRun, fit, unlearn


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


def train(work: Work) -> Mapping[str, Any]:
    """Train the original model, or a retrained one where the inputs name a forget set."""
    data, forget = load_examples(work.stage)
    inputs = work.stage.inputs
    run = fit(
        create_model(
            inputs["model"]["name"], data.train, seed=inputs["seed"], **inputs["model"]["arguments"]
        ),
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
    inputs = work.stage.inputs
    model = create_model(
        inputs["model"]["name"], data.train, seed=inputs["seed"], **inputs["model"]["arguments"]
    )
    return _save(work, TrainingRun(model, seconds=0.0, examples=0, steps=0))


def forget(work: Work) -> Mapping[str, Any]:
    """Make the original model forget, with one method."""
    data, forget = load_examples(work.stage)
    inputs = work.stage.inputs
    options = dict(inputs["options"])
    if "teacher_folder" in options:
        options["teacher_folder"] = str(work.folder / "checkpoints" / "teacher")
    training = _training(work)
    method = MethodConfig(method=inputs["method"], options=options, training=training).make(
        seed=inputs["seed"]
    )
    run = unlearn(
        load_model(work.needs["original"] / "model"),
        data.train,
        forget,
        method,
        training,
        output_dir=work.folder / "checkpoints",
        progress=False,
        callbacks=[_Steps(work)],
    )
    return _save(work, run)


def _training(work: Work) -> TrainingConfig:
    return TrainingConfig(**work.stage.inputs["training"], **work.stage.settings["training"])


def _save(work: Work, run: TrainingRun) -> Mapping[str, Any]:
    save_model(run.model, work.folder / "model")
    shutil.rmtree(work.folder / "checkpoints", ignore_errors=True)
    return {
        "seconds": run.seconds,
        "examples": run.examples,
        "steps": run.steps,
        "weights_hash": weights_hash(run.model),
        "log": list(run.log),
    }


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
