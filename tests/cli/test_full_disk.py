"""On a full disk every command that writes says so, and nothing that was whole is lost."""

from __future__ import annotations

import contextlib
import errno
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from safetensors import SafetensorError
from typer.testing import CliRunner
from unlearn_audit.cli.main import app, command_names

from tests.made_up_audit import made_up
from tests.tiny import tiny_images, tiny_resnet
from unlearn_audit.errors import StorageError, UnlearnAuditError
from unlearn_audit.files import storage_explained, write_text
from unlearn_audit.models import save_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MODELS = [
    "--reference=r0=retrained-0.parquet",
    "--reference=r1=retrained-1.parquet",
    "--reference=r2=retrained-2.parquet",
]
AUDIT = ["--candidate=c=honest.parquet", *MODELS, "--forget=forget.txt", "--original=original.parquet"]
# Bytes that a file may hold, and the command. The largest are written last, so that much was written before.
COMMANDS = {
    "init": (100, ["init", "new.yaml"]),
    "schema": (100, ["schema", "-o", "schema.json"]),
    "seal": (100, ["seal", *MODELS, "--forget=forget.txt", "-o", "s.json"]),
    "forget": (100, ["forget", "ids.txt", "--data=digits", "--output=chosen.json"]),
    "audit": (10_000, ["audit", *AUDIT, "-o", "new"]),
    "audit, its figures": (100, ["audit", *AUDIT, "-o", "new"]),
    "audit over a report": (10_000, ["audit", *AUDIT, "-o", "report"]),
    "report": (10_000, ["report", "report"]),
    "statement": (100, ["statement", "report", "-o", "statement.pdf"]),
    "ledger": (100, ["ledger", "deletions", "--model=ours"]),
    "benchmark": (10_000, ["benchmark", "digits", "-o", "benchmark"]),
    "sign": (100, ["sign", "report", "--key=key.pem"]),
    "slurm": (100, ["slurm", str(ROOT / "examples/digits.yaml"), "-o", "slurm"]),
    "job": (100, ["job", str(ROOT / "examples/digits.yaml"), "-o", "job.py"]),
    "run": (10_000, ["run", "tiny.yaml", "-o", "study"]),
    "train": (10_000, ["train", "--data=digits", "--model=resnet8", "--set=epochs=0", "-o", "model"]),
}
WRITE_NOTHING = {"methods", "measures", "neighbourhoods", "selftest", "plan", "verify"}
BY_THE_SAME = {  # functions as those above, or as below
    *("predict", "unlearn", "demo", "push"),
    *("recipes", "leaderboard", "calibrate"),
}
STUDY = """\
data: {source: digits}
forget: {label: 8}
model: {name: resnet8}
training: {epochs: 0}
methods: {finetune: {training: {epochs: 0}}}
"""


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def here(report_folder, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "ids.txt").write_text("train-0\ntrain-1\n")
    (tmp_path / "tiny.yaml").write_text(STUDY)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_that_the_disk_is_full(here, command) -> None:
    size, arguments = COMMANDS[command]
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    with at_most(size):
        shown = CliRunner().invoke(app, arguments)
    said = str(shown.exception)
    assert isinstance(shown.exception, UnlearnAuditError), (shown.output, shown.exception)
    assert "the disk is full" in said and "Nothing that was whole is lost" in said and "run the same again" in said
    after = {path: path.read_bytes() for path in before if path.is_file()}
    assert after == before
    assert not list(here.rglob("*.partial")) and not list(here.rglob(".saving"))


def test_every_command_that_writes_is_tried() -> None:
    tried = {arguments[0] for _, arguments in COMMANDS.values()}
    assert set(command_names()) == tried | WRITE_NOTHING | BY_THE_SAME


@pytest.mark.parametrize("what", ["predictions", "model", "report"])
def test_what_is_written_in_another_s_place_stays_until_it_is_whole(tmp_path, what) -> None:
    images = tiny_images(8)
    actions = {
        "predictions": lambda seed: made_up(seed).save(tmp_path / "p.parquet"),
        "model": lambda seed: save_model(tiny_resnet(images, seed=seed), tmp_path / "model"),
        "report": lambda seed: write_text(tmp_path / "x.txt", "text " * 1000 * (seed + 1)),
    }
    actions[what](0)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with at_most(2000), pytest.raises(StorageError, match="the disk is full"), storage_explained():
        actions[what](1)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    actions[what](1)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} != before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "x"), "disk is full"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "disk is full"),
        (
            RuntimeError("[enforce fail at inline_container.cc:858] . PytorchStreamWriter failed writing"),
            "disk is full",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "Permission denied: 'x'. Mend that"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "x"), "Is a directory: 'x'. Mend that"),
    ],
)
def test_errors_of_storage_are_told_in_words(error, said) -> None:
    with pytest.raises(StorageError, match=said), storage_explained("a stage"):
        raise error


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), BrokenPipeError(), ValueError("x"), OSError("x")])
def test_other_errors_are_left_alone(error) -> None:
    with pytest.raises(type(error)) as found, storage_explained():
        raise error
    assert found.value is error


def test_a_study_on_a_full_disk_names_the_stage_and_goes_on(here) -> None:
    line = ["run", "tiny.yaml", "-o", "study", "--stage", "predict-original"]
    with at_most(400_000):  # too little for predictions
        stopped = CliRunner().invoke(app, line)
    assert "predict-original: the disk is full" in str(stopped.exception)
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0 and "1 of" in done.output
