"""Two pages for a data-protection officer: what they say, what they withhold, and that they are two."""

from __future__ import annotations

import dataclasses
import json

import pypdfium2
import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from unlearn_audit.auditing.controls import Controls
from unlearn_audit.auditing.report import AuditReport, DataRecord
from unlearn_audit.errors import AuditError, ConfigurationError
from unlearn_audit.publishing.answers import ANSWERS
from unlearn_audit.publishing.statement import MOST, statement_of
from unlearn_audit.reporting.statement import statement_markdown
from unlearn_audit.reporting.statement_pdf import write_pdf
from unlearn_audit.saved.forgotten import commitment
from unlearn_audit.saved.manifest import SIGNATURES, read_manifest
from unlearn_audit.saved.sealing import SEAL, Seal
from unlearn_audit.saved.verify import Verification

pytestmark = pytest.mark.slow

FOUND = Verification(files=11, figures=500, differences=(), absent=("honest",))
A4 = (595, 842)  # points


def pages_of(path) -> list[str]:
    """Return the text of each page, in one line, of a PDF whose pages are all A4."""
    with pypdfium2.PdfDocument(path) as pdf:
        assert all(tuple(map(round, page.get_size())) == A4 for page in pdf)
        return [" ".join(page.get_textpage().get_text_bounded().split()) for page in pdf]


def changed(folder, **changes) -> AuditReport:
    """Write another report to a folder, whose figures the statement then goes by."""
    report = dataclasses.replace(AuditReport.load(folder), **changes)
    (folder / "report.json").write_text(report.to_json())
    return report


def told(folder, **options) -> str:
    return statement_markdown(statement_of(folder, FOUND, **options))


def test_the_command_writes_two_pages_and_the_same_as_markdown(report_folder, tmp_path) -> None:
    (tmp_path / "x.pdf").write_text("%PDF-1.3 an earlier one")
    done = CliRunner().invoke(app, ["statement", str(report_folder), "-o", str(tmp_path / "x.pdf"), "--json"])
    pdf, text = json.loads(done.stdout)["result"]["files"]
    assert (done.exit_code, pdf, text) == (0, str(tmp_path / "x.pdf"), str(tmp_path / "x.md"))
    first, second = pages_of(pdf)
    for words in ("1 What was deleted", "2 How it was tested", "3 What was found", "no legal advice"):
        assert words in first
    for words in ("5 What was not tested", "6 What rests on trust", "No one has signed", "Not sealed"):
        assert words in second
    assert "--" not in first + second
    assert "GDPR Art. 17(1)" in first and "EDPB Opinion 28/2024" in second
    assert "## 7. Who signed" in (tmp_path / "x.md").read_text()


def test_nothing_is_written_over_what_somebody_else_made(report_folder, tmp_path) -> None:
    (tmp_path / "x.md").write_text("mine")
    done = CliRunner().invoke(app, ["statement", str(report_folder), "-o", str(tmp_path / "x.pdf")])
    assert isinstance(done.exception, ConfigurationError) and not (tmp_path / "x.pdf").exists()
    assert (tmp_path / "x.md").read_text() == "mine"


def test_an_edited_report_has_no_statement(report_folder, tmp_path) -> None:
    changed(report_folder, title="another")
    done = CliRunner().invoke(app, ["statement", str(report_folder), "-o", str(tmp_path / "x.pdf")])
    assert done.exit_code == 1 and not (tmp_path / "x.pdf").exists()


def test_a_pass_is_claimed_in_the_words_of_the_guide_and_a_fail_in_its_own(saved_report) -> None:
    report, text = AuditReport.load(saved_report), told(saved_report)
    level = report.judgements["honest"].answers[0].findings[0]
    assert f"mean confidence {100 * level.value:.1f} %, retrained models {100 * level.expected:.1f} %" in text
    assert f"at most {100 * max(level.upper, -level.lower):.1f} points" in text
    assert "damaged: failed (K = 4). It over-forgets" in text
    assert "The model before the deletion would have passed" in text
    assert "damaged" not in told(saved_report, candidate="honest")


@pytest.mark.parametrize("withheld", [True, False])
def test_of_no_verdict_nothing_is_claimed(report_folder, withheld) -> None:
    report = AuditReport.load(report_folder)
    verdicts = {
        name: dataclasses.replace(verdict, outcome="inconclusive", withheld=withheld)
        for name, verdict in report.verdicts.items()
    }
    judgements = {
        name: dataclasses.replace(judgement, outcome="inconclusive", withheld=withheld)
        for name, judgement in report.judgements.items()
    }
    alarms = Controls(rows=(), alarms=("A reference is a copy.",))
    changed(report_folder, verdicts=verdicts, judgements=judgements, controls=alarms)
    text = told(report_folder)
    assert text.count("may be claimed") == len(report.verdicts) and "mean confidence" not in text
    assert "A reference is a copy." in text


def test_it_tells_no_one_who_was_forgotten(saved_report) -> None:
    manifest, text = read_manifest(saved_report), told(saved_report)
    ids = (saved_report.parent / "forget.txt").read_text().split()
    assert commitment(ids, manifest.salt) in text
    for hidden in (*ids, manifest.salt, "forget.txt", "given by id", manifest.request.title):
        assert hidden not in text


@pytest.mark.parametrize("why", ["few", "the whole class"])
def test_where_figures_would_tell_who_it_was_only_answers_are_given(report_folder, why) -> None:
    report = AuditReport.load(report_folder)
    if why == "few":
        changed(report_folder, forget_set=dataclasses.replace(report.forget_set, size=29))
    else:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        rows = pq.read_table(report_folder / "examples.parquet")
        lost = pc.and_(pc.equal(rows["label"], 0), pc.equal(rows["split"], "train"))
        column = pc.if_else(lost, "forget", rows["population"])
        place = rows.column_names.index("population")
        pq.write_table(
            rows.set_column(place, "population", pa.chunked_array(column)), report_folder / "examples.parquet"
        )
    text = told(report_folder)
    assert "of class 0" not in text and str(report.forget_set.size) + " training" not in text
    assert "mean confidence" not in text and "Mean confidence" not in text and " points: " not in text
    assert "honest: passed (K = 4)" in text and "damaged: failed (K = 4)" in text


@pytest.mark.parametrize("alarms", [(), ("Alarm " * 300,)])
def test_long_and_hostile_names_stay_two_pages_and_mark_nothing_up(report_folder, tmp_path, alarms) -> None:
    report = AuditReport.load(report_folder)
    names = {name: f"{'W' * 150} <script>|[x](http://x.y) \u4e2d\x1b[31m {k}" for k, name in enumerate("abcdefghijkl")}
    bad = report.judgements["damaged"]
    candidate = dataclasses.replace(report.model("damaged"), weights_hash="f" * 64)
    others = [model for model in report.models if model.role != "candidate"]
    changed(
        report_folder,
        data=DataRecord("D " * 400 + "<b>", "f" * 64, ("c" * 900,) * 5),
        models=(*(dataclasses.replace(candidate, name=name) for name in names.values()), *others),
        verdicts={
            name: dataclasses.replace(report.verdicts["damaged"], reason="The " + "very long reason " * 60)
            for name in names.values()
        },
        judgements={**report.judgements, **dict.fromkeys(names.values(), bad)},
        controls=Controls(rows=(), alarms=alarms),
        aggregate={},
        results=(),
        membership={},
    )
    statement = statement_of(report_folder, FOUND, signers=["a" * 64] * 9)
    write_pdf(statement, tmp_path / "long.pdf")
    first, second = pages_of(tmp_path / "long.pdf")
    assert f"{len(names) - MOST} more models were audited" in first and "name, date, signature" in second
    assert all(f"\\u4e2d\\x1b[31m {k}" in first for k in range(MOST))  # what the font lacks, as an escape
    text = statement_markdown(statement)
    assert "<script>" not in text and "<b>" not in text and "\x1b" not in text and "](" not in text.replace("\\]", "")


def test_signatures_and_seals_are_named(report_folder) -> None:
    changed(report_folder, provenance=dataclasses.replace(AuditReport.load(report_folder).provenance, seal="5" * 64))
    envelope = {"payload": "e30=", "payloadType": "x", "signatures": [{"keyid": "ab12", "sig": "AAAA"}]}
    (report_folder / SIGNATURES).write_text(json.dumps(envelope))
    assert "Says to be signed with the key ab12; that was not checked." in told(report_folder)
    assert "Signed with the key ab12; the signature was checked." in told(report_folder, signers=["ab12"])
    assert f"settled in the seal {'5' * 16}" in told(report_folder)


def test_a_seal_that_came_too_late_is_none(report_folder) -> None:
    request = read_manifest(report_folder).request
    seal = dataclasses.replace(Seal.of(request, report_folder), seen=("honest",))
    (report_folder / SEAL).write_text(seal.to_json())
    changed(report_folder, provenance=dataclasses.replace(AuditReport.load(report_folder).provenance, seal="5" * 64))
    assert "Sealed too late. Settled before looking: NO for honest" in told(report_folder)


def test_a_published_report_is_told_as_it_is_and_answers_alone_are_not(report_folder) -> None:
    report = AuditReport.load(report_folder)
    changed(report_folder, forget_set=dataclasses.replace(report.forget_set, salted=True, hash="ab" * 32))
    assert f"salted SHA-256 {'ab' * 32}" in told(report_folder)
    (report_folder / ANSWERS).write_text("{}")
    with pytest.raises(AuditError, match="answers alone"):
        told(report_folder)
