"""Shows in the terminal how the stages of a study go."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from unlearn_audit.experiment.stages import Outcome, Progress, Stage

WORTH_A_LINE = 0.5  # seconds


class StageProgress(Progress):
    """One bar for each stage that runs, one for all, and a line for each that took some time.

    Where the output is no terminal there are only the lines.
    """

    def __init__(self, stages: int, console: Console | None = None):
        self._console = console or Console(highlight=False)
        self._shown = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._stages = stages
        self._done = self._reused = 0
        self._bars: dict[str, TaskID] = {}
        self._all = self._shown.add_task("all stages", total=stages, text=f"0/{stages}")

    def __enter__(self) -> StageProgress:
        self._shown.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._shown.stop()
        if self._reused:
            self._console.print(f"{self._reused} of {self._stages} stages were done before.", style="dim")

    def started(self, stage: Stage) -> None:
        """Show a bar for the stage."""
        self._bars[stage.name] = self._shown.add_task(stage.name, total=None, text="")

    def waiting(self, stage: Stage) -> None:
        """Say that another run is doing it."""
        self._console.print(f"  {stage.name}: another run in this folder is doing it; waiting.", style="dim")

    def damaged(self, stage: Stage, damage: str) -> None:
        """Say what is done again, and why."""
        self._console.print(f"  {damage}", style="yellow")

    def advanced(self, stage: Stage, done: int, total: int) -> None:
        """Move the stage's bar."""
        if stage.name in self._bars:
            self._shown.update(self._bars[stage.name], completed=done, total=total, text=f"{done}/{total} steps")

    def stopped(self, stage: Stage, reason: str) -> None:
        """Take the bar away, and say why."""
        self._remove(stage)
        self._console.print(f"  {escape(reason)}", style="yellow")

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        """Take the bar away and leave a line, unless it was done in no time."""
        self._remove(stage)
        self._done += 1
        self._reused += outcome.reused
        self._shown.update(self._all, completed=self._done, text=f"{self._done}/{self._stages}")
        if outcome.seconds >= WORTH_A_LINE:
            self._console.print(f"[green]✓[/] {stage.name:<28} {outcome.seconds:7.1f} s")

    def _remove(self, stage: Stage) -> None:
        if stage.name in self._bars:
            self._shown.remove_task(self._bars.pop(stage.name))


class TaskProgress:
    """A bar for a function that reports as `progress(what, done, total)`."""

    def __init__(self, console: Console | None = None):
        self._console = console or Console(highlight=False)
        self._shown = Bars(
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.description}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._bar = self._shown.add_task("", total=1)

    def __enter__(self) -> TaskProgress:
        self._shown.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._shown.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Move the bar, and name what is done now."""
        self._shown.update(self._bar, description=what, completed=done, total=total)
