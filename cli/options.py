"""Options that several commands share, and how their values become data, forget sets and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.remote.s3 import checked_place

from .completing import audit_settings

if TYPE_CHECKING:
    from unlearn_audit.data import ForgetSet, ImageData
    from unlearn_audit.saved.request import ModelFiles

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, for example training.epochs=5. Repeatable."),
]
AuditSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one setting, for example policy.level=0.02. Repeatable.",
        autocompletion=audit_settings,
    ),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the study. [default: runs/NAME]")]
Data = Annotated[str, typer.Option("--data", help="A Hub id, a folder, or 'digits'.")]
MaybeData = Annotated[str | None, typer.Option("--data", help="A Hub id, a folder, or 'digits'.")]
DataSettings = Annotated[
    list[str] | None,
    typer.Option("--data-set", metavar="KEY=VALUE", help="An option of the data, for example label_column=fine_label."),
]
Label = Annotated[str | None, typer.Option("--forget-class", help="Index or name of the class to forget of.")]
Fraction = Annotated[
    float | None, typer.Option("--forget-fraction", help="Share of the class, or of all training examples.")
]
ForgetFile = Annotated[
    str | None,
    typer.Option("--forget-file", help="File of ids or file names: txt, csv, json or parquet, here or hf://…."),
]
ForgetSeed = Annotated[int, typer.Option("--forget-seed", help="Of the choice within the class.")]
Seed = Annotated[int, typer.Option("--seed", help="Of weights, order and augmentation.")]


def quiet() -> None:
    """Keep the libraries below from talking over the command's own output."""
    import datasets
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def load_data(source: str | None, settings: list[str] | None) -> ImageData:
    """Load the data that `--data` and `--data-set` name."""
    from unlearn_audit.errors import ConfigurationError
    from unlearn_audit.experiment.config import DataConfig, from_settings

    if source is None:
        raise ConfigurationError("Expected --data, a Hub id, a folder or 'digits', got none.")
    return from_settings(DataConfig, settings or [], source=source, flag="--data-set").load()


def forget_set(
    data: ImageData, label: str | None, fraction: float | None, file: str | None, seed: int
) -> ForgetSet | None:
    """Choose the forget set that the options name; None where they name none."""
    from unlearn_audit.experiment.config import ForgetConfig

    if (label, fraction, file) == (None, None, None):
        return None
    chosen: int | str | None = label
    if label is not None and label not in data.train.class_names and label.lstrip("-").isdigit():
        chosen = int(label)
    return ForgetConfig(label=chosen, file=file, fraction=fraction, seed=seed).choose(data.train)


def model_files(named: Sequence[str]) -> dict[str, ModelFiles]:
    """Return the files of each model by name; NAME=FILE names it, FILE alone is named as the file is.

    Raises:
        ConfigurationError: where two files without a NAME have the same one.
    """
    from unlearn_audit.saved.request import ModelFiles

    found: dict[str, list[str]] = {}
    for item in named:
        name, path = split_name(item)
        own = PurePath(path).stem
        if name is None and own in found:
            raise ConfigurationError(f"Expected each model under its own name, got {own!r} twice. Write NAME={path}.")
        found.setdefault(own if name is None else name, []).append(path)
    return {name: ModelFiles(tuple(paths)) for name, paths in found.items()}


def split_name(item: str) -> tuple[str | None, str]:
    """Return name and file of [NAME=]FILE; no name where there is none. An address may hold = itself.

    Raises:
        StoreError: for an address that may not stand in a report.
    """
    head, scheme, rest = item.partition("://")
    name, equals, start = head.rpartition("=")
    return name if equals else None, checked_place(f"{start}{scheme}{rest}")
