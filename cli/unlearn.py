"""`unlearn-audit unlearn`: makes a trained model forget, with one method."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.processes import limit_threads

from .completing import names_of
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
    model: Annotated[str, typer.Argument(help="The original model: a folder or a Hub id.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to save the unlearned model in.")],
    method: Annotated[str, typer.Option(help="One of `unlearn-audit methods`.", autocompletion=names_of("methods"))],
    data: Data,
    processor: Annotated[
        str | None, typer.Option(help="Where the image processor is, if not beside the model: a folder or a Hub id.")
    ] = None,
    data_settings: DataSettings = None,
    forget_class: Label = None,
    forget_fraction: Fraction = None,
    forget_file: ForgetFile = None,
    forget_seed: ForgetSeed = 0,
    seed: Seed = 0,
    settings: Settings = None,
) -> None:
    """Make MODEL forget a part of its training examples.

    --set takes the method's options and, as training.KEY, the fields of TrainingConfig: training.epochs=5. The same
    command goes on from the last checkpoint of a run that was interrupted. The output folder is new, empty, or one
    that unlearn-audit wrote, and not MODEL's own.
    """
    limit_threads()
    quiet()
    from unlearn_audit.errors import ConfigurationError
    from unlearn_audit.experiment.config import MethodConfig, from_settings
    from unlearn_audit.folders import claim_folder
    from unlearn_audit.models import load_model
    from unlearn_audit.training import unlearn

    from .saving import CHECKPOINTS, report_run

    config = from_settings(MethodConfig, settings or [], method=method)
    images = load_data(data, data_settings)
    forget = forget_set(images, forget_class, forget_fraction, forget_file, forget_seed)
    if forget is None:
        raise ConfigurationError("Expected --forget-class, --forget-fraction or --forget-file, got none of them.")
    _check_other_folder(model, output)
    original = load_model(model, processor=processor)
    run = unlearn(
        original,
        images.train,
        forget,
        config.make(seed=seed),
        config.training,
        output_dir=claim_folder(output, "model") / CHECKPOINTS,
        progress=sys.stderr.isatty(),
    )
    report_run(run, output, forget)


def _check_other_folder(model: str, output: Path) -> None:
    from unlearn_audit.errors import ConfigurationError

    if Path(model).resolve() == output.resolve():
        raise ConfigurationError(
            f"Expected another folder than the original model's, got {str(output)!r} for both, where the unlearned "
            "model would take the original's place. Give --output another folder."
        )
