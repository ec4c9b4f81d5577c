"""`unlearn-audit predict`: the predictions of one model, to Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.processes import limit_threads

from .completing import one_of
from .machine import tell
from .options import Data, DataSettings, load_data, quiet


def run(
    model: Annotated[str, typer.Argument(help="A folder, a Hub id or hf://USER/NAME@REVISION/FOLDER.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")],
    data: Data,
    data_settings: DataSettings = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Examples in a forward pass; by default what suits the device.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="float32 or bfloat16.", autocompletion=one_of("float32", "bfloat16"))
    ] = "float32",
    processor: Annotated[
        str | None, typer.Option(help="Where the image processor is, if not beside the model: a folder or a Hub id.")
    ] = None,
    embeddings: Annotated[bool, typer.Option(help="Write the penultimate embeddings too.")] = True,
) -> None:
    """Write a model's predictions to Parquet.

    One file holds the logits and embeddings of all training and test examples. It is new, or predictions that
    unlearn-audit wrote, which are replaced.
    """
    limit_threads()
    quiet()
    from unlearn_audit.folders import claim_file
    from unlearn_audit.models import load_model, predict
    from unlearn_audit.predictions.parquet import is_ours
    from unlearn_audit.processes import process_state

    claim_file(output, is_ours)
    images = load_data(data, data_settings)
    found = predict(
        load_model(model, processor=processor),
        images,
        batch_size=batch_size,
        precision=precision,
        embeddings=embeddings,
        model_id=model,
    )
    if process_state().is_main_process:
        found.save(output)
        tell(file=output, examples=len(found.example_ids), data=images.name)
        typer.echo(f"{output}: {len(found.example_ids)} examples of {images.name}")
