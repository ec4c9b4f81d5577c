"""The ledger of deletion requests: its chain, its levels, and what it says of each audit."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from tests.made_up_audit import N_TRAIN, made_up, request_in
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import GroupFigures, answer_questions
from unlearn_audit.errors import AuditError, ConfigurationError, UnlearnAuditError, VerificationError
from unlearn_audit.predictions import Predictions
from unlearn_audit.saved import deletions
from unlearn_audit.saved.deletions import LEDGER, PRIVATE, add_request, check_private, open_ledger, read_ledger
from unlearn_audit.saved.entering import enter
from unlearn_audit.saved.forgotten import Forgotten, commitment
from unlearn_audit.saved.manifest import MANIFEST, file_hash
from unlearn_audit.saved.request import AuditRequest, ModelFiles
from unlearn_audit.saved.running import run_audit, save_audit
from unlearn_audit.saved.spending import level

ALPHA, EXPECTED = 0.05, 3


@pytest.fixture
def ledger(tmp_path) -> Path:
    """Three requests of two examples each."""
    folder = tmp_path / "deletions"
    open_ledger(folder, "a model", alpha=ALPHA, expected=EXPECTED)
    for number in range(3):
        add_request(folder, [f"{number}-a", f"{number}-b"])
    return folder


def test_levels_fall_and_never_sum_to_more_than_alpha() -> None:
    for expected in (1, 7, 100):
        levels = [level(0.05, expected, audit) for audit in range(1, 20_000)]
        assert levels == sorted(levels, reverse=True)
        assert 0.99 * 0.05 < sum(levels) < 0.05
        assert sum(levels[:expected]) == pytest.approx(0.025)


def test_a_ledger_commits_to_requests_and_to_all_so_far(ledger) -> None:
    read = read_ledger(ledger)
    assert [(r.size, r.size_so_far) for r in read.requests] == [(2, 2), (2, 4), (2, 6)]
    text = (ledger / LEDGER).read_text()
    for number, request in enumerate(read.requests, start=1):
        kept = json.loads((ledger / PRIVATE / f"so-far-{number}.json").read_text())
        assert set(kept["ids"]) == {f"{n}-{letter}" for n in range(number) for letter in "ab"}
        assert request.commitment_so_far == commitment(kept["ids"], kept["salt"])
        assert kept["salt"] not in text and not any(known in text for known in kept["ids"])
    assert Forgotten.read(read.so_far()).ids == tuple(kept["ids"])
    assert check_private(read) == 3


@pytest.mark.parametrize("ids", [[], ["new", "new"], ["1-b", "new"]])
def test_a_request_is_of_examples_that_none_asked_for_before(ledger, ids) -> None:
    before = (ledger / LEDGER).read_bytes()
    with pytest.raises(AuditError, match="none asked for before"):
        add_request(ledger, ids)
    assert (ledger / LEDGER).read_bytes() == before


@pytest.mark.parametrize("line", range(4))
@pytest.mark.parametrize("how", ["changed", "left out", "twice", "no JSON", "moved"])
def test_an_edited_ledger_is_found(ledger, line, how) -> None:
    lines = (ledger / LEDGER).read_bytes().splitlines(keepends=True)
    head = read_ledger(ledger).head
    if how == "changed":
        lines[line] = lines[line].replace(b"2", b"3", 1)
    elif how == "left out":
        del lines[line]
    elif how == "twice":
        lines.insert(line, lines[line])
    elif how == "no JSON":
        lines[line] = lines[line][:-9]
    else:
        lines.insert((line + 2) % 4, lines.pop(line))
    (ledger / LEDGER).write_bytes(b"".join(lines))
    with pytest.raises(VerificationError):
        read_ledger(ledger, head)
    if line < 3 and how != "moved":  # of the last line a head alone tells
        with pytest.raises(VerificationError, match="edited"):
            read_ledger(ledger)


def test_one_that_was_cut_off_or_written_anew_is_found_by_a_head(ledger, tmp_path) -> None:
    head = read_ledger(ledger).head
    assert read_ledger(ledger, head[:16]).head == head
    lines = (ledger / LEDGER).read_bytes().splitlines(keepends=True)
    (ledger / LEDGER).write_bytes(b"".join(lines[:-1]))
    assert len(read_ledger(ledger).requests) == 2
    with pytest.raises(VerificationError, match="cut off or written anew"):
        read_ledger(ledger, head)
    open_ledger(tmp_path / "anew", "a model")
    with pytest.raises(VerificationError, match="cut off or written anew"):
        read_ledger(tmp_path / "anew", head)


@pytest.mark.parametrize("name", ["request-2.json", "so-far-2.json"])
def test_other_ids_than_those_committed_to_are_found(ledger, name) -> None:
    path = ledger / PRIVATE / name
    path.write_text(path.read_text().replace("1-a", "9-z"))
    with pytest.raises(VerificationError, match="not the ids"):
        check_private(read_ledger(ledger))
    shutil.rmtree(ledger / PRIVATE)
    assert check_private(read_ledger(ledger)) == 0


def test_one_who_waits_too_long_is_told_so(ledger, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(deletions, "WAIT", 0.05)
    with FileLock(ledger / ".lock"), pytest.raises(AuditError, match="Another process holds"):
        add_request(ledger, ["new"])
    with pytest.raises(AuditError, match="found none"):
        add_request(tmp_path / "nowhere", ["new"])
    assert len(add_request(ledger, ["new"]).requests) == 4


def test_what_is_no_ledger_is_named(ledger, tmp_path) -> None:
    with pytest.raises(AuditError, match="found no ledger"):
        read_ledger(tmp_path)
    with pytest.raises(ConfigurationError, match="holds one"):
        open_ledger(ledger, "another")
    for wrong in ({"alpha": 0.7}, {"expected": 0}):
        with pytest.raises(ConfigurationError):
            open_ledger(tmp_path / "other", "a model", **wrong)
    (ledger / LEDGER).unlink()
    (ledger / LEDGER).mkdir()
    with pytest.raises(AuditError, match="cannot be read"):
        read_ledger(ledger)


def in_a_child(action) -> int:
    """Run something in a process of its own, and return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        action()
        code = 0
    finally:
        os._exit(code)


def test_it_survives_kills_at_any_moment(ledger) -> None:
    chance, known = random.Random(0), 3
    for kill in range(6):

        def add(kill=kill) -> None:
            for number in range(10_000):
                add_request(ledger, [f"{kill}-{number}-{os.getpid()}"])

        child = in_a_child(add)
        time.sleep(chance.uniform(0.01, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        read = read_ledger(ledger)
        assert check_private(read) == len(read.requests) >= known
        known = len(read.requests)
    add_request(ledger, ["after all"])
    assert len(read_ledger(ledger).requests) == known + 1 > 4


def test_two_processes_add_one_after_the_other(ledger) -> None:
    def add() -> None:
        for number in range(5):
            add_request(ledger, [f"{os.getpid()}-{number}"])

    children = [in_a_child(add) for _ in range(2)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert [request.size_so_far for request in read_ledger(ledger).requests][3:] == list(range(7, 17))


def honest(seed: int, groups: list[str], k: int) -> list[GroupFigures]:
    """A model that is one more retrained model, in groups whose examples differ as models do: k + 1 random points."""
    chance = np.random.default_rng(seed)
    shared = chance.normal(size=(k + 1, 6))
    found = []
    for name in groups:
        points = shared + chance.normal(size=(k + 1, 6))
        apart = ((points[:, None] - points[None]) ** 2).sum(-1)
        question = "forgotten" if name.startswith(("forget", "request")) else "neighbours"
        found.append(
            GroupFigures(
                name,
                question,
                200,
                0.8 + 0.01 * points[:1, 0],
                0.8 + 0.01 * points[1:, 0],
                apart[:1, 1:],
                apart[1:, 1:],
            )
        )
    return found


def test_any_wrong_fail_in_a_sequence_stays_under_alpha() -> None:
    """Without a tolerance, which only makes fails rarer. One alpha for each audit shows that the test can fail."""
    alpha, rounds, sequences = 0.2, 5, 120
    policy = Policy(level=0.0, pattern=0.0, alpha=alpha)
    spent = constant = 0
    for sequence in range(sequences):
        least = []
        for audit in range(rounds):
            again = [f"request {n}" for n in range(audit + 1)]
            figures = honest(1000 * sequence + audit, ["forget", "near_test", *again], 5)
            asked = (figures[:2], figures[2:])
            answers = [answer_questions(part, policy, advise=False) for part in asked]
            least.append(min(f.p_holm for part in answers for answer in part for f in answer.findings))
        spent += any(p <= level(alpha, rounds, audit) / 2 for audit, p in enumerate(least, start=1))
        constant += any(p <= alpha for p in least)
    error = np.sqrt(alpha * (1 - alpha) / sequences)
    assert spent / sequences <= alpha + 2 * error
    assert constant / sequences > alpha + 4 * error


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Predictions of made-up models; of one that knows the first request by heart."""
    folder = tmp_path_factory.mktemp("models")
    request_in(folder)
    known = made_up(60)
    ids, _ = forgotten()
    logits = known.logits.copy()
    rows = np.isin(known.example_ids, ids)
    logits[rows, known.labels[rows]] += 9
    dataclasses.replace(known, logits=logits).save(folder / "remembers.parquet")
    return folder


def forgotten() -> tuple[list[str], list[str]]:
    """Return the ids of two requests, of class 0."""
    first = made_up(50)
    ids = first.example_ids[:N_TRAIN][first.labels[:N_TRAIN] == 0][::2].tolist()
    return ids[:20], ids[20:]


@pytest.fixture
def asked(models, tmp_path) -> Path:
    """A ledger with both requests beside the models."""
    shutil.copytree(models, tmp_path, dirs_exist_ok=True)
    open_ledger(tmp_path / "deletions", "made-up", alpha=ALPHA, expected=EXPECTED)
    for ids in forgotten():
        add_request(tmp_path / "deletions", ids)
    return tmp_path / "deletions"


def audited(asked: Path, candidate: str, **changes) -> Path:
    """Audit one candidate at the level of the ledger, and return the report's folder."""
    base, ledger = asked.parent, read_ledger(asked)
    files = {name: ModelFiles((f"{name}.parquet",)) for name in ("original", *(f"retrained-{k}" for k in range(4)))}
    request = AuditRequest(
        candidates={candidate: ModelFiles((f"{candidate}.parquet",))},
        references={name: file for name, file in files.items() if name != "original"},
        original=files["original"],
        forget=str(ledger.so_far()),
        policy=Policy(alpha=ledger.next_alpha),
        measures=("js",),
    )
    request = dataclasses.replace(request, **changes)
    save_audit(run_audit(request, base=base), request, base / f"report-{candidate}", base=base)
    return base / f"report-{candidate}"


def confidence(predictions: Predictions, ids: list[str]) -> float:
    rows = np.isin(predictions.example_ids, ids)
    shares = np.exp(predictions.logits[rows].astype(float))
    return float((shares[np.arange(rows.sum()), predictions.labels[rows]] / shares.sum(1)).mean())


def test_each_request_is_asked_again_of_the_newest_model(asked) -> None:
    good, bad = audited(asked, "honest"), audited(asked, "remembers")
    enter(asked, good)
    with pytest.raises(AuditError, match="at the level of the ledger"):
        enter(asked, bad)  # it was made at the level of the audit before
    bad = audited(asked, "remembers")
    ledger = enter(asked, bad)
    first, second = ledger.audits
    assert (first.outcome, [again.outcome for again in first.again]) == ("pass", ["pass", "pass"])
    assert second.outcome == "fail" and [again.outcome for again in second.again] == ["fail", "pass"]
    assert second.manifest == file_hash(bad / MANIFEST)
    references = [made_up(k) for k in range(4)]
    for again, ids in zip(first.again, forgotten(), strict=True):
        expected = confidence(made_up(50), ids) - np.mean([confidence(model, ids) for model in references])
        assert again.drift.level == pytest.approx(expected, abs=1e-5)
    assert second.drift["forgotten"].level > first.drift["forgotten"].level + 0.05
    assert [audit.level for audit in ledger.audits] == [level(ALPHA, EXPECTED, 1), level(ALPHA, EXPECTED, 2)]
    assert ledger.unaudited == 0
    add_request(asked, ["train-1"])
    assert read_ledger(asked).unaudited == 1


def test_a_report_that_is_not_the_next_audit_is_refused(asked) -> None:
    report = audited(asked, "honest")
    enter(asked, report)
    before = (asked / LEDGER).read_bytes()
    refused = {
        "does not have": lambda: report,
        "at the level of the ledger": lambda: audited(asked, "honest", policy=Policy()),
        "all 2 requests so far": lambda: audited(asked, "honest", forget=str(asked / PRIVATE / "request-1.json")),
        "one candidate": lambda: audited(
            asked, "honest", candidates={name: ModelFiles((f"{name}.parquet",)) for name in ("honest", "damaged")}
        ),
    }
    for why, make in refused.items():
        with pytest.raises(UnlearnAuditError, match=why):
            enter(asked, make())
    assert (asked / LEDGER).read_bytes() == before
