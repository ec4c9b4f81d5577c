"""`unlearn-audit train`: one model, on all training examples or without a forget set."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.processes import limit_threads

from .completing import model_names
from .options import (
    Data,
    DataSettings,
    ForgetFile,
    ForgetSeed,
    Fraction,
    Label,
    Seed,
    Settings,
    forget_set,
    load_data,
    quiet,
)


def run(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to save the model in.")],
    data: Data,
    data_settings: DataSettings = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            autocompletion=model_names,
            help="An architecture of timm or transformers (resnet20, vit), or a checkpoint: folder or Hub id.",
        ),
    ] = "resnet20",
    model_settings: Annotated[
        list[str] | None,
        typer.Option("--model-set", metavar="KEY=VALUE", help="Of the model: trained=lora, arguments.depth=4."),
    ] = None,
    forget_class: Label = None,
    forget_fraction: Fraction = None,
    forget_file: ForgetFile = None,
    forget_seed: ForgetSeed = 0,
    seed: Seed = 0,
    settings: Settings = None,
) -> None:
    """Train the original, or a retrained model.

    With a forget set it is a retrained model, which never sees that set. --set takes the fields of
    TrainingConfig, for example epochs=60. The same command goes on from the last checkpoint of a run that was
    interrupted. The output folder is new, empty, or one that unlearn-audit wrote.
    """
    limit_threads()
    quiet()
    from unlearn_audit.experiment.config import ModelConfig, from_settings
    from unlearn_audit.experiment.planned_models import PlannedModel
    from unlearn_audit.folders import claim_folder
    from unlearn_audit.models import merge
    from unlearn_audit.training import TrainingConfig, fit

    from .saving import CHECKPOINTS, report_run

    training = from_settings(TrainingConfig, settings or [])
    images = load_data(data, data_settings)
    forget = forget_set(images, forget_class, forget_fraction, forget_file, forget_seed)
    start = PlannedModel.of(from_settings(ModelConfig, model_settings or [], name=model, flag="--model-set"))
    made = start.adapt(start.create(images.train, seed))
    checkpoints = claim_folder(output, "model") / CHECKPOINTS
    run = fit(
        made, images.train, training, seed=seed, output_dir=checkpoints, forget=forget, progress=sys.stderr.isatty()
    )
    report_run(dataclasses.replace(run, model=merge(run.model)), output, forget)
