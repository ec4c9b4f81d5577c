"""`unlearn-audit forget`: what does a deletion request match, and is another copy left?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unlearn_audit.processes import limit_threads

from .machine import tell
from .options import Data, DataSettings, load_data, quiet

if TYPE_CHECKING:
    from unlearn_audit.data import ForgetSet, ImageData
    from unlearn_audit.experiment.duplicates import Duplicate

_SHOWN = 5


def run(
    request: Annotated[str, typer.Argument(help="The request: txt, csv, json or parquet, here or hf://….")],
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="The forget set to write.")] = Path("forget.json"),
    column: Annotated[
        str | None,
        typer.Option(help="Of the request and of the data, such as customer_id: all examples of its values."),
    ] = None,
    data_settings: DataSettings = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Any model's, with embeddings: also look for nearly the same images.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="HTML file to write with pictures of forgotten examples and their copies.")
    ] = None,
) -> None:
    """Turn a deletion request into a forget set.

    It shows what the request matched. A request lists ids or file names, one a line or in a column example_id, id,
    file_name, filename, path or image; or values of any --column of the data. Copies of forgotten images that would
    stay in the data are named: deleting one copy of two deletes nothing.
    """
    limit_threads()
    quiet()
    from unlearn_audit.experiment.config import ForgetConfig
    from unlearn_audit.experiment.duplicates import exact_duplicates
    from unlearn_audit.folders import claim_file, says

    claim_file(output, lambda path: says(path, '"data_fingerprint"'))
    images = load_data(data, data_settings)
    forget = ForgetConfig(file=request, column=column).choose(images.train)
    forget.save(output)
    copies = exact_duplicates(forget, images.train, images.test)
    if predictions is not None:
        copies += _near(predictions, forget, {copy.other for copy in copies})
    tell(file=output, size=len(forget), hash=forget.hash, copies=copies)
    _show(forget, images, output)
    _show_copies(copies)
    if pictures is not None:
        from unlearn_audit.reporting.copies import write_copies

        typer.echo(write_copies(copies, images, claim_file(pictures, lambda path: says(path, "unlearn-audit"))))


def _near(predictions: Path, forget: ForgetSet, known: set[str]) -> list[Duplicate]:
    import numpy as np

    from unlearn_audit.errors import PredictionsError
    from unlearn_audit.experiment.duplicates import near_duplicates
    from unlearn_audit.predictions import open_predictions

    found = open_predictions(predictions)
    embeddings = found.load_embeddings()
    if embeddings is None:
        raise PredictionsError(f"{predictions}: expected embeddings, to look for nearly the same images, found none.")
    is_forget = np.isin(found.example_ids, forget.ids)
    if is_forget.sum() != len(forget):
        raise PredictionsError(f"{predictions}: expected predictions of all {len(forget)} forgotten examples.")
    near = near_duplicates(embeddings, found.example_ids.tolist(), found.splits.tolist(), is_forget)
    return [copy for copy in near if copy.other not in known]


def _show(forget: ForgetSet, images: ImageData, output: Path) -> None:
    train = images.train
    mask = forget.mask(train)
    typer.echo(f"{output}: {len(forget)} of {len(train)} training examples, {forget.description}")
    for index, name in enumerate(train.class_names):
        count = int((train.labels[mask] == index).sum())
        if count:
            typer.echo(f"  {name}: {count} of {int((train.labels == index).sum())}")
    names = train.columns.get("file_name", train.ids)[mask]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    typer.echo(f"  {', '.join(names[:_SHOWN].tolist())}{more}")


def _show_copies(copies: list[Duplicate]) -> None:
    if not copies:
        typer.echo("No copy of a forgotten image is among the others.")
        return
    typer.echo(f"{len(copies)} examples that stay are copies of forgotten ones, or nearly:")
    for copy in copies[: 4 * _SHOWN]:
        how = "the same pixels" if copy.similarity == 1 else f"cosine {copy.similarity:.4f}"
        typer.echo(f"  {copy.other} ({copy.split}) of {copy.forgotten}: {how}")
    if len(copies) > 4 * _SHOWN:
        typer.echo(f"  and {len(copies) - 4 * _SHOWN} more")
    typer.echo("Add them to the request, or the model is asked to forget what it goes on learning.")
