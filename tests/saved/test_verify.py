"""verify: whatever is changed in a report folder or its inputs is named."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

from tests.made_up_audit import request_in
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import AuditError, VerificationError
from unlearn_audit.predictions import Predictions
from unlearn_audit.saved.manifest import read_manifest, seal
from unlearn_audit.saved.published import consequences, recomputed_test_figures
from unlearn_audit.saved.request import ModelFiles
from unlearn_audit.saved.running import run_audit, save_audit
from unlearn_audit.saved.verify import verify

pytestmark = pytest.mark.slow


def test_an_untouched_folder_agrees_also_after_moving(report_folder, tmp_path) -> None:
    found = verify(report_folder)
    assert found.differences == ()
    assert found.figures > 1000
    assert found.files == 2 + 1 + 8  # report, ledger; forget set, eight models
    moved = tmp_path.parent / (tmp_path.name + "-moved")
    shutil.copytree(tmp_path, moved)
    assert verify(moved / "report").differences == ()
    found.raise_if_different()


def test_a_flipped_byte_is_named(report_folder, tmp_path) -> None:
    path = tmp_path / "honest.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert any("honest" in d and "hash" in d for d in verify(report_folder).differences)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../honest.parquet", "../forget.txt", "report.json", "examples.parquet"])
def test_any_flipped_byte_is_named_and_nothing_else_is_raised(report_folder, name) -> None:
    path = report_folder / name
    content = path.read_bytes()
    for place in np.linspace(0, len(content) - 1, 7).astype(int):
        flipped = bytearray(content)
        flipped[place] ^= 0x80  # in text: no UTF-8 any more
        path.write_bytes(flipped)
        assert any(path.name in d and "hash" in d for d in verify(report_folder).differences)


def test_a_damaged_manifest_is_refused(report_folder) -> None:
    path = report_folder / "manifest.json"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x80
    path.write_bytes(content)
    with pytest.raises(AuditError, match="no manifest"):
        verify(report_folder)


def test_swapped_files_are_named(report_folder, tmp_path) -> None:
    (tmp_path / "honest.parquet").replace(tmp_path / "x")
    (tmp_path / "damaged.parquet").replace(tmp_path / "honest.parquet")
    (tmp_path / "x").replace(tmp_path / "damaged.parquet")
    differences = verify(report_folder).differences
    assert any("predictions of honest" in d for d in differences)
    assert any("predictions of damaged" in d for d in differences)


def test_an_edited_figure_is_named_even_under_a_new_hash(report_folder) -> None:
    path = report_folder / "report.json"
    report = json.loads(path.read_text())
    report["results"][0]["comparison"]["strata"][1]["discrepancy"] *= 0.5
    path.write_text(json.dumps(report))
    differences = verify(report_folder).differences
    assert any("/results/0/comparison/strata/1/discrepancy" in d for d in differences)
    assert any("report.json" in d and "hash" in d for d in differences)
    seal(report_folder)  # a forger who makes the manifest fit
    differences = verify(report_folder).differences
    assert len(differences) == 1 and "/results/0/comparison/strata/1/discrepancy" in differences[0]


def test_an_edited_verdict_is_named(report_folder) -> None:
    path = report_folder / "report.json"
    report = json.loads(path.read_text())
    assert report["verdicts"]["damaged"]["outcome"] == "fail"
    report["verdicts"]["damaged"]["outcome"] = "pass"
    path.write_text(json.dumps(report))
    seal(report_folder)
    with pytest.raises(VerificationError, match="/verdicts/damaged/outcome: saved 'pass', computed 'fail'"):
        verify(report_folder).raise_if_different()


@pytest.mark.parametrize("name", ["../retrained-0.parquet", "../forget.txt", "examples.parquet", "report.json"])
def test_a_missing_file_is_named(report_folder, name) -> None:
    (report_folder / name).unlink()
    assert any("missing" in d for d in verify(report_folder).differences)


def test_no_manifest_no_verification(report_folder) -> None:
    (report_folder / "manifest.json").write_text("{}")
    with pytest.raises(AuditError, match="no manifest"):
        verify(report_folder)
    (report_folder / "manifest.json").unlink()
    with pytest.raises(AuditError, match=r"no manifest\.json"):
        verify(report_folder)


def test_the_manifest_holds_no_absolute_path(saved_report) -> None:
    assert str(saved_report.parent) not in (saved_report / "manifest.json").read_text()
    assert read_manifest(saved_report).request.forget == "../forget.txt"


def edited(folder, change) -> list[str]:
    """Change the report's JSON by a function, let a forger make the manifest fit, and return what verify says."""
    path = folder / "report.json"
    report = json.loads(path.read_text())
    change(report)
    path.write_text(json.dumps(report))
    seal(folder)
    return list(verify(folder).differences)


def test_an_edited_answer_is_named(report_folder) -> None:
    def change(report) -> None:
        answer = report["judgements"]["damaged"]["answers"][0]
        assert answer["outcome"] == "fail"
        answer["outcome"], answer["how"] = "pass", ""

    differences = edited(report_folder, change)
    assert len(differences) == 2
    assert "/judgements/damaged/answers/0/outcome: saved 'pass', computed 'fail'" in differences[0]
    assert "/judgements/damaged/answers/0/how" in differences[1]


@pytest.mark.parametrize(
    "place",
    [
        "judgements/damaged/answers/0/findings/0/p_value",
        "judgements/damaged/answers/1/findings/0/upper",
        "groups/0/count",
    ],
)
def test_every_figure_of_a_judgement_is_computed_again(report_folder, place) -> None:
    def change(report) -> None:
        *way, last = [int(part) if part.isdigit() else part for part in place.split("/")]
        for part in way:
            report = report[part]
        report[last] += 0.01 + report[last]

    assert [place in difference for difference in edited(report_folder, change)] == [True]


def test_a_forged_judgement_of_a_published_folder_is_named_by_what_follows_from_its_findings(report_folder) -> None:
    report = AuditReport.load(report_folder)
    assert all(saved == computed for _, saved, computed in consequences(report))
    damaged = report.judgements["damaged"]
    answers = tuple(dataclasses.replace(answer, outcome="pass", how="") for answer in damaged.answers)
    forgeries = [
        dataclasses.replace(damaged, outcome="pass"),
        dataclasses.replace(damaged, answers=answers),
        dataclasses.replace(damaged, sentences=("All is well.",) * 3),
        dataclasses.replace(damaged, withheld=True),
        dataclasses.replace(damaged, num_references=40),
    ]
    for forged in forgeries:
        changed = dataclasses.replace(report, judgements={**report.judgements, "damaged": forged})
        different = [place for place, saved, computed in consequences(changed) if saved != computed]
        assert "/judgements/damaged" in different
    passed = dataclasses.replace(report.verdicts["damaged"], outcome="pass")
    changed = dataclasses.replace(report, verdicts={**report.verdicts, "damaged": passed})
    assert [place for place, saved, computed in consequences(changed) if saved != computed] == ["/verdicts/damaged"]


def test_a_copy_among_the_references_is_left_out_of_a_published_folder_s_figures_too(tmp_path) -> None:
    """The figures on the test set follow from predictions on test examples and from the ledger's strata alone."""
    request = request_in(tmp_path)
    models = [(f"retrained-{k}", f"hash {k}") for k in range(4)]
    for name, weights_hash in [*models, ("retrained-4", "hash 0")]:
        copied = Predictions.load(tmp_path / f"{models[int(weights_hash[-1])][0]}.parquet")
        metadata = {**copied.metadata, "weights_hash": weights_hash}
        dataclasses.replace(copied, metadata=metadata).save(tmp_path / f"{name}.parquet")
    references = {**request.references, "retrained-4": ModelFiles(("retrained-4.parquet",))}
    request = dataclasses.replace(request, references=references)
    found = run_audit(request, base=tmp_path)
    assert "retrained-4" not in [model.name for model in found.report.models]
    published = tmp_path / "published"
    save_audit(found, request, published, base=tmp_path)
    for path in request.files().values():
        if path.endswith(".parquet"):
            whole = Predictions.load(tmp_path / path)
            test = whole.splits == "test"
            dataclasses.replace(
                whole,
                example_ids=whole.example_ids[test],
                splits=whole.splits[test],
                labels=whole.labels[test],
                logits=whole.logits[test],
                embeddings=None,
            ).save(published / path)
    pairs = list(recomputed_test_figures(published, found.report, request))
    compared = {place: (saved, computed) for place, saved, computed in pairs if place.startswith("/results")}
    assert len(compared) == len([r for r in found.report.results if r.population == "test"])
    for saved, computed in compared.values():
        assert saved.num_references == computed.num_references
        assert computed.overall.discrepancy == pytest.approx(saved.overall.discrepancy)
        assert computed.overall.p_value == pytest.approx(saved.overall.p_value)
