"""`unlearn-audit leaderboard`: methods on several forget sets, from several originals, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.processes import imports_frozen, limit_threads

from .machine import tell
from .options import Output, Settings, quiet
from .run import Engine, Jobs


def run(
    config: Annotated[Path, typer.Argument(help="YAML of a study with `forget_sets` and `originals`.")],
    settings: Settings = None,
    output: Output = None,
    engine: Engine = "processes",
    jobs: Jobs = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="METHOD", help="Only this method, by its name in the YAML. Repeatable.")
    ] = None,
    forget_set: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only on this forget set. Repeatable.")
    ] = None,
    models_only: Annotated[
        bool, typer.Option("--models-only", help="Make the models and stop: no predictions or audits of them.")
    ] = False,
) -> None:
    """Compare methods on several forget sets and originals.

    All stages share one folder: originals and retrained models are made once, what is done is not done again, and a run
    that was killed goes on. With --models-only on a machine with a GPU, carry the output folder back and start the same
    command without it: only predictions and audits are left. The tables are written as Markdown, CSV and LaTeX; with
    --only and --forget-set, of these methods and forget sets alone.
    """
    limit_threads()
    quiet()
    from unlearn_audit.experiment.leaderboard import Leaderboard, read_leaderboard
    from unlearn_audit.experiment.standing_tables import as_csv, latex, markdown
    from unlearn_audit.files import write_text

    from .progress import StageProgress

    asked = read_leaderboard(config, settings=settings or ()).only(only or (), forget_set or ())
    board = Leaderboard.plan(asked, output)
    with StageProgress(board.stages(models_only=models_only)) as progress, imports_frozen():
        board.run(engine=engine, jobs=jobs, models_only=models_only, progress=progress)
    if models_only:
        return
    standings = board.standings()
    written = []
    for ending, text in {"md": markdown, "csv": as_csv, "tex": latex}.items():
        path = board.store.root / f"leaderboard.{ending}"
        write_text(path, text(standings))
        written.append(path)
    tell(files=written, standings=standings)
    typer.echo("\n".join(map(str, written)))
