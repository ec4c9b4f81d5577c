"""Every code block of the README and of the pages is run, or says why not."""

from __future__ import annotations

import re
import shlex
import shutil
import time
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from tests.docs.blocks import REASONS, ROOT, Block, blocks_of, commands_of, pages
from tests.docs.running import Session

PREDICTIONS, STUDY = "docs/audit-from-predictions.md", "docs/start.md"
# Pages that go on where another one ended.
AFTER = {
    "README.md": PREDICTIONS,
    "docs/write-a-measure.md": PREDICTIONS,
    "docs/write-a-neighbourhood.md": PREDICTIONS,
    "docs/elsewhere.md": STUDY,
    "docs/publishing.md": STUDY,
    "docs/statement.md": PREDICTIONS,
    "docs/deletion-requests.md": PREDICTIONS,
}
# What a reader finds when a page has been followed to its end.
LEAVES = {
    PREDICTIONS: ["unlearned.parquet", "report/report.html"],
    STUDY: ["runs/study/report/report.html"],
    "README.md": ["report/report.html"],
    "docs/deletion-requests.md": ["deletions/ledger.jsonl", "report-1/report.html"],
    "docs/statement.md": ["statement.pdf", "statement.md"],
    "docs/audit-your-model.md": ["audit/report/report.html", "audit/report/plots/neighbourhood.png"],
    "docs/your-own-models.md": ["fine-tuned/model.safetensors"],
    "docs/use-in-a-trainer.md": ["models/unlearned/model.safetensors", "audit/report/report.html"],
    "docs/write-a-method.md": ["runs/study/report/report.html"],
    "docs/write-a-measure.md": ["renyi-report/report.html"],
    "docs/write-a-neighbourhood.md": ["groups-report/report.html", "halves-report/report.html"],
}
RUNNING = [page for page in pages() if any(block.is_run for block in blocks_of(page))]
IDLE = [block for page in pages() for block in blocks_of(page) if block.why_not]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Return a function that follows a page once, after the page before it, and gives the folder it worked in."""
    done: dict[str, Path] = {}

    def follow(page: str) -> Path:
        if page not in done:
            folder = tmp_path_factory.mktemp("page")
            if page in AFTER:
                shutil.copytree(follow(AFTER[page]), folder, symlinks=True, dirs_exist_ok=True)
            done[page] = folder
            _run(page, folder)
        return done[page]

    return follow


def _run(page: str, folder: Path) -> None:
    with Session(folder) as session:
        for block in blocks_of(page):
            start = time.process_time()
            session.run(block)
            print(f"{block.place}: {time.process_time() - start:.1f} s of this process")


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNING)
def test_the_code_of_a_page_runs(page: str, followed) -> None:
    folder = followed(page)
    for path in LEAVES.get(page, []):
        assert (folder / path).is_file(), path


@pytest.mark.slow
def test_the_plug_ins_of_the_pages_are_what_the_reports_used(followed) -> None:
    from unlearn_audit import AuditReport

    measure = AuditReport.load(followed("docs/write-a-measure.md") / "renyi-report")
    assert measure.policy.measure == "renyi(order=0.5)"
    assert all(s.discrepancy > 0 for s in measure.comparison("unlearned", "retain", "renyi(order=0.5)").strata)
    near = AuditReport.load(followed("docs/write-a-neighbourhood.md") / "groups-report")
    assert near.neighbourhood.proximity == "groups"
    study = AuditReport.load(followed("docs/write-a-method.md") / "runs/study/report")
    assert study.model("uniform_targets").method == "uniform_targets"


@pytest.mark.parametrize("block", IDLE, ids=lambda block: block.place)
def test_a_block_that_is_not_run_says_why_and_its_commands_exist(block: Block) -> None:
    assert block.why_not in REASONS
    if block.language == "bash":
        for line in commands_of(block.code):
            if line.startswith("unlearn-audit "):
                _parses(shlex.split(line, comments=True)[1:])


def _parses(arguments: list[str]) -> None:
    """Ask the command for help after its arguments: a wrong option is refused all the same."""
    assert arguments[0] in get_command(app).commands
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", CliRunner().invoke(app, [arguments[0], "--help"]).output))
    used = {argument.split("=", 1)[0] for argument in arguments[1:] if argument.startswith("-")}
    assert used <= known, used - known


def test_few_blocks_are_not_run() -> None:
    assert len(IDLE) <= 5, [block.place for block in IDLE]


def test_make_targets_are_run_by_ci() -> None:
    targets = {
        line.split()[1]
        for page in RUNNING
        for block in blocks_of(page)
        for line in commands_of(block.code)
        if block.language == "bash" and line.startswith("make ")
    }
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert targets and all(f"make {target}" in script.splitlines() for target in targets), targets


def test_every_language_is_known() -> None:
    known = {"python", "bash", "text", "yaml", "toml", "json", ""}
    found = {block.language: block.place for page in pages() for block in blocks_of(page)}
    assert found.keys() <= known, found
