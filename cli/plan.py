"""`unlearn-audit plan`: what could an audit tell, before anything is retrained?"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from unlearn_audit.processes import limit_threads

from .machine import tell
from .options import AuditSettings, DataSettings, MaybeData, model_files


def run(
    original: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="The original model's predictions, whose embeddings are the space, here, hf://… or s3://…, or "
            "hub:USER/NAME[@REVISION], a model to predict --data with.",
        ),
    ],
    forget: Annotated[
        str,
        typer.Option(
            help="Ids of the forget set, or with --data file names: txt, csv, json or parquet, here or hf://…."
        ),
    ],
    reference: Annotated[
        list[str] | None, typer.Option(metavar="[NAME=]FILE", help="A retrained model, if there is one already.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="That one retraining takes, to say what K of them cost.")
    ] = None,
    embeddings: Annotated[str | None, typer.Option(help="File with example_id and embedding instead.")] = None,
    proximities: Annotated[str | None, typer.Option(help="File with example_id and proximity instead.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with policy and neighbourhood, as in a study's.")] = None,
    data: MaybeData = None,
    data_settings: DataSettings = None,
    settings: AuditSettings = None,
) -> None:
    """Say before any retraining what an audit could show.

    How much of the forget set is memorised, who its neighbours are, what 3, 4, 5 and 8 retrained models could show, and
    whether a model that was not touched would fail. It screens, and passes nothing. --set takes policy.KEY and
    neighbourhood.KEY, for example --set policy.level=0.02.
    """
    limit_threads()
    from unlearn_audit.experiment.config import read_audit
    from unlearn_audit.planning import plan

    from .sources import Source

    chosen = read_audit(config, settings=settings or ())
    with TemporaryDirectory() as folder:
        source = Source(Path(folder), data, data_settings)
        references = model_files(source.named(reference or ()))
        found = plan(
            source.of("original", original),
            source.forgotten(forget),
            references={name: files.predictions for name, files in references.items()},
            embeddings=source.maybe(embeddings),
            proximities=source.maybe(proximities),
            names=chosen.names,
            policy=chosen.policy,
            neighbourhood=chosen.neighbourhood,
            seconds=seconds,
        )
    tell(plan=found)
    typer.echo(repr(found))
