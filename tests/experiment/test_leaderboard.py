"""A leaderboard: what its stages share, what it makes on another machine, and its tables against plain sums."""

from __future__ import annotations

import csv
import dataclasses
import math
import shutil
from collections import Counter
from pathlib import Path

import pytest

from unlearn_audit.errors import UnlearnAuditError
from unlearn_audit.experiment.leaderboard import Leaderboard, read_leaderboard
from unlearn_audit.experiment.stages import Progress
from unlearn_audit.experiment.standing_tables import as_csv, latex, markdown
from unlearn_audit.experiment.standings import JudgedModel, Standings, Told

EXAMPLE = Path(__file__).parents[2] / "examples" / "leaderboards" / "digits.yaml"


class Made(Progress):
    """Remembers which stages were done anew."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def finished(self, stage, outcome) -> None:
        if not outcome.reused:
            self.names.append(stage.name)


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Leaderboard:
    return Leaderboard.plan(read_leaderboard(EXAMPLE), tmp_path_factory.mktemp("board") / "out")


def test_retrained_models_are_shared_by_originals_and_originals_by_forget_sets(planned) -> None:
    stages = planned.stages()
    assert len({stage.hash for stage in stages}) == len({stage.name for stage in stages}) == len(stages)
    # 2 originals; 3 references and 1 held-out for each of 2 forget sets; 3 methods on each from each original
    assert Counter(stage.kind for stage in stages) == {
        "original": 2,
        "retrained": 8,
        "untrained": 1,
        "tuned": 6,
        "unlearned": 12,
        "predictions": 2 + 8 + 1 + 12,
        "forget": 2,
        "audit": 4,
        "seal": 4,
    }


def test_tuning_looks_at_the_first_original_and_at_a_model_that_no_audit_uses(planned) -> None:
    judging = {reference.hash for audit in planned.audits.values() for reference in audit.references}
    for stage in planned.stages():
        if stage.kind == "tuned":
            assert stage.original.name == "original-1"
            assert stage.held_out_predictions.hash not in judging


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("unlearned.mine=folder", "its own"),
        ("originals=0", "at least 1"),
        ("forget_sets.half-of-8.label=9999", "9999"),
    ],
)
def test_a_leaderboard_that_cannot_be_made_is_refused(setting, message, tmp_path) -> None:
    with pytest.raises(UnlearnAuditError, match=message):
        Leaderboard.plan(read_leaderboard(EXAMPLE, settings=[setting]), tmp_path)


def test_a_part_of_it_has_the_same_stages_as_the_whole(planned, tmp_path) -> None:
    part = Leaderboard.plan(read_leaderboard(EXAMPLE).only(["ssd"], ["random"]), tmp_path)
    hashes = {stage.hash for stage in planned.stages()}
    models = [stage for stage in part.stages() if stage.kind not in ("audit", "seal")]
    assert all(stage.hash in hashes for stage in models)
    assert {stage.name for stage in models if stage.kind == "unlearned"} == {"random-ssd-1-1", "random-ssd-2-1"}
    with pytest.raises(UnlearnAuditError, match=r"no method 'sdd'.*Did you mean 'ssd'"):
        read_leaderboard(EXAMPLE).only(["sdd"], [])
    with pytest.raises(UnlearnAuditError, match=r"no forget set 'randm'.*Did you mean 'random'"):
        read_leaderboard(EXAMPLE).only([], ["randm"])


@pytest.mark.slow
def test_models_that_were_made_elsewhere_are_audited_here_and_those_that_diverge_end_nothing(tmp_path) -> None:
    settings = [
        "training.epochs=1",
        "methods.gradient_ascent.search.learning_rate=[1e14, 1e15]",  # every trial diverges
        "methods.finetune.search=false",
        "methods.finetune.training.learning_rate=1e15",  # the model itself does
    ]
    config = read_leaderboard(EXAMPLE, settings=settings)
    there, here = (Leaderboard.plan(config, tmp_path / name) for name in ("there", "here"))
    there.run(models_only=True)
    assert not any(there.store.is_complete(audit) for audit in there.audits.values())
    shutil.copytree(tmp_path / "there", tmp_path / "here")
    made = Made()
    here.run(progress=made)
    assert made.names and all(name.startswith(("predict-", "audit-", "forget-", "seal-")) for name in made.names)
    standings = here.standings()
    assert [(row.forget, row.method, row.without, sum(row.outcomes.values())) for row in standings.rows] == [
        (forget, method, *((0, 2) if method in ("ssd", "original") else (2, 0)))
        for forget in ("half-of-8", "random")
        for method in ("gradient_ascent", "finetune", "ssd", "original")
    ]
    assert all(row.cost is not None and row.tuning_cost is not None for row in standings.rows if row.method == "ssd")
    assert "2 came to no model" in markdown(standings)
    assert [row["no_model"] for row in csv.DictReader(as_csv(standings).splitlines())] == ["2", "2", "0", "0"] * 2


def models() -> list[JudgedModel]:
    told = {
        "forgotten": Told("fail", 0.10, 0.02),
        "neighbours": Told("pass", -0.01, 0.00),
        "rest": Told("inconclusive", -0.02, 0.01),
    }
    first = JudgedModel("a_method", "boy|1", "fail", told, 0.5, 0.1, 2.0)
    second = dataclasses.replace(first, questions={**told, "forgotten": Told("pass", 0.02, 0.04)}, gone=0.9)
    return [first, second, dataclasses.replace(first, method="other")]


def test_means_and_standard_errors_are_those_over_models() -> None:
    both, alone = Standings.of("Board", 4, models()).rows
    forgotten = both.questions["forgotten"]
    assert forgotten.outcomes == {"fail": 1, "pass": 1}
    assert (forgotten.level.value, forgotten.level.count) == (pytest.approx(0.06), 2)
    assert forgotten.level.error == pytest.approx(math.sqrt((0.04**2 + 0.04**2) / 1 / 2))
    assert both.gone.value == pytest.approx(0.7)
    assert alone.gone.error is None


def test_tables_say_the_same_and_escape_names() -> None:
    standings = Standings.of("Board", 4, models())
    first = next(csv.DictReader(as_csv(standings).splitlines()))
    assert float(first["forgotten_level"]) == pytest.approx(0.06)
    assert (first["forgotten_pass"], first["forgotten_fail"]) == ("1", "1")
    page = markdown(standings)
    assert "6.0 ± 4.0" in page and "boy\\|1" in page and "4 trials" in page
    assert r"a\_method" in latex(standings) and r"6.0 $\pm$ 4.0" in latex(standings)
