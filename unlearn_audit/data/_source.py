"""Opens a Hub id or a local folder with `datasets`, and says what to do when that fails."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_audit.bounded import check_streamable, open_parquet
from unlearn_audit.errors import DataError
from unlearn_audit.remote.sources import dataset_named

if TYPE_CHECKING:
    from datasets import Dataset


_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".lz4", ".7z", ".rar")


@dataclass(frozen=True)
class Part:
    """The rows of a split that were asked for, as they are: from `first` up to, not including, `end`."""

    split: str
    first: int
    end: int
    rows: Dataset

    @property
    def count(self) -> int:
        """How many rows were asked for."""
        return self.end - self.first

    def overlaps(self, other: Part) -> bool:
        """Whether the two share a row."""
        return self.split == other.split and self.first < other.end and other.first < self.end


def open_splits(
    source: str | Path, *, revision: str | None, train_split: str, test_split: str
) -> tuple[str, dict[str, Part]]:
    """Return the data set's name, and its training and test examples under the keys "train" and "test".

    A split may be sliced as `datasets` does it: "train[:10000]", "train[80%:]".
    """
    named = dataset_named(str(source))
    if named is not None:
        if named[1] is not None and revision is not None:
            raise DataError(f"Expected a revision once, in {source!r} or as revision, got both.")
        source, revision = named[0], named[1] or revision
    if not str(source).strip():
        raise DataError("The data's source is empty; give a folder of Parquet files or images, or a Hub id.")
    folder = Path(source).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise DataError(
                f"revision is for data sets of the Hub, and {folder} is a local folder, which hides a Hub id "
                "of that name; leave revision out, or run elsewhere to reach the Hub."
            )
        name, found = folder.resolve().name, _load_folder(folder.resolve())
    elif _is_path(source):
        raise DataError(f"There is no folder {folder}; give a folder of Parquet files or images, or a Hub id.")
    else:
        name, found = str(source), _load_from_hub(str(source), revision)
    return name, _pick_splits(found, name, {"train": train_split, "test": test_split})


def _is_path(source: str | Path) -> bool:
    """Whether it can only be a path: Hub ids have at most one slash and begin with a letter or digit."""
    return (
        isinstance(source, Path)
        or source.startswith(("/", ".", "~"))
        or source.count("/") > 1
        or Path(source).is_file()
    )


def _load_folder(folder: Path) -> dict[str, Dataset]:
    import pyarrow as pa
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        _check_files(folder)
        return load_dataset(str(folder))
    except (OSError, pa.ArrowException, ValueError, RuntimeError, DatasetsError) as error:
        raise DataError(
            f"The folder {folder} cannot be read as a data set: {_first_line(error)}. It should hold Parquet "
            "files (train.parquet, test.parquet) or images (train/CLASS/IMAGE.png, test/CLASS/IMAGE.png)."
        ) from error


def _check_files(folder: Path) -> None:
    """Raise `OSError` for archives, which would be unpacked, and Parquet files that say more than memory holds."""
    for place, _, names in os.walk(folder):  # pathlib would take ten times as long for a million images
        for name in names:
            if name.lower().endswith(_ARCHIVES):
                raise OSError(f"{name} is an archive, which is not unpacked here; unpack it yourself")
            if name.lower().endswith(".parquet"):
                with open_parquet(Path(place) / name) as file:
                    for column in file.schema_arrow.names:
                        check_streamable(file, column)


def _load_from_hub(name: str, revision: str | None) -> dict[str, Dataset]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    try:
        return load_dataset(name, revision=revision)
    except DatasetNotFoundError as error:
        raise DataError(
            f"{name} is neither a folder here nor a data set of the Hub that you may read: "
            f"{_first_line(error)}. Check the spelling; if it is private or gated, run `hf auth login`."
        ) from error
    except ConnectionError as error:
        raise DataError(
            f"{name} is not a folder here, and the Hub could not be asked for it: {_first_line(error)}. "
            "Check the spelling and the network (is HF_HUB_OFFLINE set?), or give a folder, or 'digits'."
        ) from error
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        raise DataError(
            f"{name} cannot be loaded from the Hub: {_first_line(error)}. "
            "Check the id, or download it and give the folder."
        ) from error


def _first_line(error: BaseException) -> str:
    cause = error.__cause__ if error.__cause__ is not None and "error occurred" in str(error) else error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0].rstrip(".")


def _pick_splits(found: dict[str, Dataset], name: str, wanted: dict[str, str]) -> dict[str, Part]:
    if wanted["train"] == wanted["test"]:
        raise DataError(f"The training and the test split must differ; both are {wanted['train']!r}.")
    parts = {}
    for role, spec in wanted.items():
        split = spec.split("[")[0]
        if split not in found:
            raise DataError(f"{name} has no split {split!r}, only: {', '.join(found)}. {_advice(role, found, wanted)}")
        parts[role] = _slice(found[split], split, spec, f"{role}_split")
        if not len(parts[role].rows):
            raise DataError(f"The split {spec!r} of {name} holds no example; choose another with {role}_split.")
    if parts["train"].overlaps(parts["test"]):
        raise DataError(
            f"The training and the test split must share no example; {wanted['train']!r} and {wanted['test']!r} do."
        )
    return parts


def _slice(data: Dataset, split: str, spec: str, option: str) -> Part:
    from datasets import ReadInstruction

    if spec == split:
        return Part(split, 0, len(data), data)
    try:
        (absolute,) = ReadInstruction.from_spec(spec).to_absolute({split: len(data)})
    except (ValueError, AssertionError) as error:
        raise DataError(
            f"Expected {option} to be a split or one slice of it, such as 'train[:10000]' or 'train[80%:]', got "
            f"{spec!r} for a split of {len(data)} examples: {_first_line(error)}."
        ) from error
    first, end = absolute.from_ or 0, len(data) if absolute.to is None else absolute.to
    return Part(split, first, end, data.select(range(first, max(first, end))))


def _advice(role: str, found: dict[str, Dataset], wanted: dict[str, str]) -> str:
    if len(found) > 1:
        return f"Say which one to use with {role}_split."
    (only,) = found
    return (
        "An audit needs held-out examples: put some under test/ beside train/, or split them once with "
        f"`parts = load_dataset(...)[{only!r}].train_test_split(0.2, seed=0)`, write each part with "
        "`parts[name].to_parquet(f'my-data/{name}.parquet')`, and give the folder my-data."
    )
