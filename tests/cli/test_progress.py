"""How a study goes: one table on a terminal, lines elsewhere."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from rich.console import Console
from unlearn_audit.cli.progress import StageProgress

from unlearn_audit.experiment.stages import Outcome, Stage

DONE = Outcome(reused=False, seconds=75.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Training(Stage):
    kind = "training"
    epochs = 10
    about = "resnet8"

    def run(self, workspace):
        return {}


@dataclass(frozen=True, eq=False, kw_only=True)
class Search(Training):
    kind = "search"
    epochs = None
    unit = "trials"


STAGES = [Training(name=f"retrained-{k}") for k in range(60)] + [Search(name="tune-a-method-with-a-long-name")]


def console(*, terminal: bool, width: int = 80, **options) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, height=24, highlight=False, **options)


def seen(progress: StageProgress, width: int = 80) -> list[str]:
    """What the table shows now."""
    plain = console(terminal=False, width=width)
    plain.print(progress._table())
    return plain.file.getvalue().splitlines()


@pytest.fixture(params=[80, 140])
def width(request) -> int:
    return request.param


def test_the_table_shows_epochs_trials_and_cost_and_fits(width) -> None:
    progress = StageProgress(STAGES, console(terminal=True, width=width))
    progress.started(STAGES[0])
    progress.finished(STAGES[0], DONE)
    progress.started(STAGES[1])
    progress.advanced(STAGES[1], 21, 100)
    progress.started(STAGES[-1])
    progress.advanced(STAGES[-1], 3, 10)
    head, done, running, search, foot = seen(progress, width)
    assert head.split() == ["stage", "model", "epoch", "ETA", "cost"]
    assert done.split() == ["✓", "retrained-0", "resnet8", "1:15"]
    assert {"retrained-1", "resnet8", "3/10"} < set(running.split())
    assert {"tune-a-method-with-a-long-name", "resnet8", "3/10", "trials"} < set(search.split())
    assert foot.startswith("1 of 61 stages · ") and "cost 1:15" in foot
    assert max(map(len, (head, done, running, search, foot))) <= width


def test_names_that_do_not_fit_are_told_apart_by_both_ends(width) -> None:
    name = "local_teacher_distillation_without_any_training_{}_of_its_teacher-{}"
    stages = [Training(name=f"{kind}{name.format('at_all', k)}") for kind in ("predict-", "") for k in (1, 2)]
    progress = StageProgress(stages, console(terminal=True, width=width))
    for stage in stages:
        progress.started(stage)
    shown = [line.split()[1] for line in seen(progress, width)[1:-1]]
    assert len(set(shown)) == 4 and all(len(line) <= width for line in seen(progress, width))
    for stage, text in zip(stages, shown, strict=True):
        head, _, tail = text.partition("…")
        assert stage.name.startswith(head) and stage.name.endswith(tail) and len(text) > 24


def test_many_stages_fit_the_height_of_the_terminal_and_those_that_run_stay() -> None:
    progress = StageProgress(STAGES, console(terminal=True))
    for stage in STAGES[:50]:
        progress.started(stage)
        progress.finished(stage, DONE)
    progress.started(STAGES[50])
    lines = seen(progress)
    assert len(lines) < 24 and any("retrained-50" in line for line in lines)
    assert any("retrained-49" in line for line in lines) and not any("retrained-5 " in line for line in lines)


def test_a_stage_whose_process_died_leaves_the_table_and_comes_back() -> None:
    progress = StageProgress(STAGES, console(terminal=True))
    progress.started(STAGES[0])
    progress.stopped(STAGES[0], "its process was killed by signal 9")
    assert not any("retrained-0" in line for line in seen(progress))
    progress.started(STAGES[0])
    progress.advanced(STAGES[0], 50, 100)  # from its last checkpoint
    assert any("retrained-0" in line and "5/10" in line for line in seen(progress))


def test_elsewhere_each_event_is_one_plain_line() -> None:
    piped = console(terminal=False)
    with StageProgress(STAGES, piped) as progress:
        for stage in STAGES[:3]:
            progress.started(stage)
            progress.advanced(stage, 1, 2)
        progress.finished(STAGES[0], DONE)
        progress.finished(STAGES[1], Outcome(reused=True, seconds=0.0))
        progress.stopped(STAGES[2], "retrained-2 failed.")
    lines = piped.file.getvalue().splitlines()
    assert [line.split() for line in lines[:1]] == [["✓", "retrained-0", "75.0", "s"]]
    assert lines[1:] == ["  retrained-2 failed.", "1 of 61 stages were done before."]


def test_colours_are_left_out_where_they_are_not_wanted(monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = console(terminal=True)
    with StageProgress(STAGES, terminal) as progress:
        progress.started(STAGES[0])
        progress.finished(STAGES[0], DONE)
    text = terminal.file.getvalue()
    assert "retrained-0" in text and "\x1b[32m" not in text
