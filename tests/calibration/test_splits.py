import dataclasses
import itertools

import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from tests.made_up_audit import request_in
from unlearn_audit.auditing.audit import audit_subject
from unlearn_audit.auditing.verdict import Policy
from unlearn_audit.calibration.split_tables import split_markdown
from unlearn_audit.calibration.splits import calibrate_saved
from unlearn_audit.errors import AuditError, ConfigurationError
from unlearn_audit.saved.request import ModelFiles
from unlearn_audit.saved.running import read_neighbourhood, read_subject, run_audit, save_audit

TIGHT = Policy(relative=0.02, absolute=0.0)  # so that verdicts of the made-up models differ
CELLS = {("retrained", 3): 20, ("retrained", 4): 5, ("damaged", 3): 10, ("damaged", 4): 5}  # audits of 5 models


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    request = dataclasses.replace(request_in(folder, references=5), policy=TIGHT)
    return folder, dataclasses.replace(request, measures=("js",))


def outcomes_by_whole_audits(folder, request, k):
    """Audit with each set of K references, the other retrained models and `damaged` being the candidates."""
    found = {"retrained": [], "damaged": []}
    for chosen in itertools.combinations(request.references, k):
        rest = {name: files for name, files in request.references.items() if name not in chosen}
        rest["damaged"] = request.candidates["damaged"]
        part = dataclasses.replace(
            request, candidates=rest, references={n: request.references[n] for n in chosen}, untrained=None
        )
        subject = read_subject(part, folder)
        neighbourhood = read_neighbourhood(part, subject, folder)
        report = audit_subject(subject, neighbourhood, request.policy, measures=["js"]).report
        for name, verdict in report.verdicts.items():
            outcome = "withheld" if verdict.withheld else verdict.outcome
            found[name if name == "damaged" else "retrained"].append(outcome)
    return found


def test_shares_are_those_of_whole_audits_of_every_split(saved):
    folder, request = saved
    found = calibrate_saved(request, base=folder)
    cells = {(cell.kind, cell.num_references): cell for cell in found.shares}
    expected = outcomes_by_whole_audits(folder, request, 3)  # no controls at K = 3, so that none is withheld
    for kind, outcomes in expected.items():
        cell = cells[kind, 3]
        assert cell.complete and cell.audits == len(outcomes) == CELLS[kind, 3]
        assert cell.failed == pytest.approx(outcomes.count("fail") / len(outcomes))
        assert cell.passed == pytest.approx(outcomes.count("pass") / len(outcomes))
    assert len({outcome for outcomes in expected.values() for outcome in outcomes}) >= 2
    assert {key: cells[key].audits for key in CELLS} == CELLS
    expected = outcomes_by_whole_audits(folder, request, 4)
    assert found.withheld[4] == pytest.approx(expected["damaged"].count("withheld") / 5)


def test_ratios_are_those_of_references_that_pose(saved):
    folder, request = saved
    found = calibrate_saved(request, base=folder)
    report = run_audit(request, base=folder).report
    expected = [report.comparison(name, "forget", "js").overall.ratio for name in request.references]
    assert found.ratios["all forget"] == pytest.approx(expected)


def test_of_too_many_audits_a_random_part_is_taken(saved):
    folder, request = saved
    found = calibrate_saved(request, base=folder, limit=8)
    cells = {(cell.kind, cell.num_references): cell for cell in found.shares}
    assert (cells["retrained", 3].audits, cells["retrained", 3].complete) == (8, False)
    assert (cells["retrained", 4].audits, cells["retrained", 4].complete) == (5, True)
    assert "a random part" in split_markdown(found, title="made-up", command="x")


def test_no_candidate_is_needed_and_its_seeds_are_different_models(saved):
    folder, request = saved
    alone = calibrate_saved(dataclasses.replace(request, candidates={}, untrained=None), base=folder)
    assert {cell.kind for cell in alone.shares} == {"retrained", "original"}
    seeds = ModelFiles(("damaged.parquet", "honest.parquet"))
    found = calibrate_saved(dataclasses.replace(request, candidates={"method": seeds}), base=folder)
    (cell,) = [cell for cell in found.shares if (cell.kind, cell.num_references) == ("method", 4)]
    assert (cell.models, cell.audits) == (2, 10)


def test_one_failing_model_of_few_does_not_contradict_the_bar_and_two_do(saved):
    folder, request = saved
    found = calibrate_saved(request, base=folder)

    def failing(share):
        shares = tuple(dataclasses.replace(cell, failed=share) for cell in found.shares)
        return dataclasses.replace(found, shares=shares)

    assert not failing(0.2).contradicts  # one of five: 23 % by chance
    assert failing(0.4).contradicts  # two of five: 2 % by chance


def test_what_cannot_be_calibrated_is_refused(saved):
    folder, request = saved
    few = dict(list(request.references.items())[:3])
    with pytest.raises(AuditError, match=r"at least 4 retrained models.*got 3"):
        calibrate_saved(dataclasses.replace(request, references=few), base=folder)
    with pytest.raises(ConfigurationError, match=r"policy.populations.*\['test'\]"):
        calibrate_saved(dataclasses.replace(request, policy=Policy(populations=("test",))), base=folder)
    with pytest.raises(ConfigurationError, match="cannot use 'consensus_flip'"):
        calibrate_saved(dataclasses.replace(request, policy=Policy(measure="consensus_flip")), base=folder)


def test_the_command_takes_files_or_a_report_and_writes_the_same_tables(saved, tmp_path, monkeypatch):
    folder, request = saved
    save_audit(run_audit(request, base=folder), request, tmp_path / "report", base=folder)
    monkeypatch.chdir(folder)
    files = [f"--reference={name}.parquet" for name in request.references]
    files += ["--candidate=honest.parquet", "--candidate=damaged.parquet", "--original=original.parquet"]
    files += ["--forget=forget.txt", "--set=neighbourhood.number=4"]
    files += ["--set=policy.relative=0.02", "--set=policy.absolute=0"]
    pages = []
    for given in (files, [f"--report={tmp_path / 'report'}"]):
        page = tmp_path / "page.md"
        done = CliRunner().invoke(app, ["calibrate", *given, "--title", "made-up", "--output", str(page)])
        assert done.exit_code in (0, 1), done.output
        pages.append(page.read_text().split("made this page")[1])
    from_files = pages[0].replace("| untrained", "")
    assert from_files == "\n".join(line for line in pages[1].split("\n") if not line.startswith("| untrained"))
    assert pages[1].count("| untrained") == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--title", "x"], "--report or --reference"),
        (["--reference", "a.parquet"], "--forget"),
        (["--report", "x", "--forget", "y"], "--report alone"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given, message):
    found = CliRunner().invoke(app, ["calibrate", *given])
    assert isinstance(found.exception, ConfigurationError)
    assert message in str(found.exception)
