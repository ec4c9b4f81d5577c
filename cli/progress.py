"""Shows in the terminal how the stages of a study go."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from unlearn_audit.experiment.stages import Outcome, Progress, Stage

WORTH_A_LINE = 0.5  # seconds
_AROUND = 6  # lines of a terminal that are not rows: a head, a foot, and what else is printed
_MOST_ROWS = 24
_NUMBERS = {"epoch": 9, "ETA": 6, "cost": 6}  # columns, and how wide they are at least


@dataclass
class _Row:
    """A stage that was begun: when, what of it is done, and how many seconds it took in the end."""

    stage: Stage
    since: float = field(default_factory=time.monotonic)
    first: int | None = None  # what was done at the first word of it: of a run that was killed, perhaps
    done: int = 0
    total: int = 0
    seconds: float | None = None

    def advance(self, done: int, total: int) -> None:
        if self.first is None:
            self.first = max(0, done - 1)
        self.done, self.total = done, total

    @property
    def cost(self) -> float:
        return time.monotonic() - self.since if self.seconds is None else self.seconds

    @property
    def left(self) -> float | None:
        """Seconds that are left, where the pace tells."""
        came = self.done - (self.first or 0)
        if self.seconds is not None or came <= 0 or not self.total:
            return None
        return self.cost / came * (self.total - self.done)

    @property
    def position(self) -> str:
        """The epoch, where it has some, or what else is done of how much."""
        if not self.total:
            return ""
        epochs = self.stage.epochs
        if epochs is None:
            return f"{self.done}/{self.total} {self.stage.unit}"
        number, most = math.ceil(self.done / self.total * epochs), math.ceil(epochs)
        return f"{min(most, max(1, number))}/{most}"


class StageProgress(Progress):
    """On a terminal one table, which lives until all is done: the stages that run, and above them the last ones done.

    Elsewhere a line for each stage that took some time. What goes wrong is a line in both.
    """

    def __init__(self, stages: Sequence[Stage], console: Console | None = None):
        self._console = console or Console(file=sys.stdout, highlight=False)  # whoever redirects it meanwhile
        self._stages = stages
        self._begin = time.monotonic()
        self._running: dict[str, _Row] = {}
        self._done: list[_Row] = []
        self._begun: set[str] = set()
        self._finished = self._reused = 0
        self._spinner = Spinner("dots")
        self._lives = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = Live(
            get_renderable=self._table, console=self._console, refresh_per_second=4, transient=True, screen=False
        )

    def __enter__(self) -> StageProgress:
        if self._lives:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lives:
            self._live.stop()
            self._console.print(self._foot(), style="dim")
        elif self._reused:
            self._console.print(f"{self._reused} of {len(self._stages)} stages were done before.", style="dim")

    def started(self, stage: Stage) -> None:
        """Show the stage."""
        self._running[stage.name] = _Row(stage)
        self._begun.add(stage.name)

    def waiting(self, stage: Stage) -> None:
        """Say that another run is doing it."""
        self._console.print(f"  {stage.name}: another run in this folder is doing it; waiting.", style="dim")

    def damaged(self, stage: Stage, damage: str) -> None:
        """Say what is done again, and why."""
        self._console.print(f"  {damage}", style="yellow")

    def advanced(self, stage: Stage, done: int, total: int) -> None:
        """Show what is done of the stage."""
        if stage.name in self._running:
            self._running[stage.name].advance(done, total)

    def stopped(self, stage: Stage, reason: str) -> None:
        """Take the stage away, and say why."""
        self._running.pop(stage.name, None)
        self._console.print(f"  {escape(reason)}", style="yellow")

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        """Show what the stage cost, unless it was done before."""
        row = self._running.pop(stage.name, None) or _Row(stage)
        row.seconds = outcome.seconds
        self._begun.add(stage.name)
        self._finished += 1
        self._reused += outcome.reused
        if not outcome.reused:
            self._done.append(row)
        if not self._lives and outcome.seconds >= WORTH_A_LINE:
            self._console.print(f"[green]✓[/] {stage.name:<28} {outcome.seconds:7.1f} s")

    def _table(self) -> Group:
        stage, model = self._widths()
        table = Table(box=None, pad_edge=False, header_style="dim", expand=False)
        table.add_column("", width=1)
        table.add_column("stage", no_wrap=True, width=stage)
        table.add_column("model", no_wrap=True, style="dim", width=model)
        for name, width in _NUMBERS.items():
            table.add_column(name, justify="right", no_wrap=True, min_width=width)
        running = list(self._running.values())
        rows = max(1, min(_MOST_ROWS, self._console.height - _AROUND))
        shown = running[:rows]
        for row in self._done[len(self._done) - min(len(self._done), rows - len(shown)) :]:
            mark = Text("✓", style="green")
            table.add_row(mark, *_cut(row.stage, stage, model), row.position, "", _clock(row.cost))
        for row in shown:
            left = "" if row.left is None else _clock(row.left)
            table.add_row(self._spinner, *_cut(row.stage, stage, model), row.position, left, _clock(row.cost))
        return Group(table, Text(self._foot(), style="dim"))

    def _widths(self) -> tuple[int, int]:
        """Return how wide the names of stages and models may be, the same all the time; names of models give way."""
        stage = max((len(stage.name) for stage in self._stages), default=5)
        model = max(5, *(len(stage.about) for stage in self._stages)) if self._stages else 5
        room = self._console.width - 1 - sum(_NUMBERS.values()) - 2 * (len(_NUMBERS) + 2)
        stage = max(8, min(max(5, stage), room - 8))
        return stage, max(5, min(model, room - stage))

    def _foot(self) -> str:
        """Return how many stages are done, and what time and work they took."""
        total, running = len(self._stages), len(self._running)
        parts = [f"{self._finished} of {total} stages" + (f" ({self._reused} done before)" if self._reused else "")]
        parts.append(f"{_clock(time.monotonic() - self._begin)} so far" if self._finished < total else "")
        left = self._left()
        parts.append(f"at least {_clock(left)} left" if left else "")
        parts.append("" if running or self._finished else "starting")
        parts.append(f"cost {_clock(sum(row.cost for row in (*self._done, *list(self._running.values()))))}")
        return " · ".join(part for part in parts if part)

    def _left(self) -> float | None:
        """Return the seconds that are left at least; None while there are several stages to come of an unknown pace."""
        running = list(self._running.values())
        coming = Counter(stage.kind for stage in self._stages if stage.name not in self._begun)
        costs: dict[str, list[float]] = {}
        for row in list(self._done):
            costs.setdefault(row.stage.kind, []).append(row.cost)
        if not running or any(number > 1 and kind not in costs for kind, number in coming.items()):
            return None
        waiting = sum(fmean(costs[kind]) * number for kind, number in coming.items() if kind in costs)
        return (waiting + sum(row.left or 0.0 for row in running)) / len(running)


def _cut(stage: Stage, *widths: int) -> list[str]:
    """Return the stage's name and what it is about in their widths, without the middle where they are too long."""
    found = []
    for text, width in zip((stage.name, stage.about), widths, strict=True):
        tail = (width - 1) // 2
        found.append(text if len(text) <= width else f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}")
    return found


def _clock(seconds: float) -> str:
    """Return a time as people read it: 4.2 s, 1:05, 2:03:04."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


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
