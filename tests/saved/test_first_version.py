"""Reports of the first version are read as they were, and say which version judged them."""

from __future__ import annotations

import json

import pytest

from tests.saved import first_version
from unlearn_audit.auditing.policy import FirstPolicy, Policy
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.auditing.summary import sentences
from unlearn_audit.errors import AuditError, VerificationError
from unlearn_audit.reporting.sections.verdicts import policy_sentence, shown_verdicts
from unlearn_audit.saved.manifest import seal
from unlearn_audit.saved.verify import verify

TEXT = json.dumps(first_version.report())


def test_it_loads_with_its_own_policy_and_without_judgements() -> None:
    report = AuditReport.from_json(TEXT)
    assert report.policy == FirstPolicy("js", ("retain", "forget"), 2, 0.0005, 0.25, 0.05)
    assert (report.schema_version, report.judgements, report.groups) == (1, {}, ())
    assert report.verdicts["ltd"].reason == first_version.REASON
    assert report.comparison("ltd", "retain", "js").strata[0].ratio == 1.67
    assert AuditReport.from_json(report.to_json()) == report


def test_it_says_that_the_first_version_judged_it() -> None:
    report = AuditReport.from_json(TEXT)
    assert policy_sentence(report).startswith("Judged by the first version of the verdict ")
    assert "25 % of the noise floor" in policy_sentence(report)
    assert f"ltd: inconclusive. {first_version.REASON}" in sentences(report)
    (verdict,) = shown_verdicts(report)
    assert (verdict.sentence, verdict.answers) == (first_version.REASON, ())


def test_a_policy_of_the_second_version_is_never_taken_for_one_of_the_first(report_folder) -> None:
    assert AuditReport.load(report_folder).policy == Policy()


@pytest.mark.parametrize("version", [0, 3, "1", None])
def test_other_versions_are_refused(version) -> None:
    with pytest.raises(AuditError, match="schema version 2 or 1"):
        AuditReport.from_json(json.dumps({**first_version.report(), "schema_version": version}))


@pytest.mark.parametrize("withheld", [[], ["retain", "forget"]])
def test_verifying_its_folder_checks_the_files_and_says_why_figures_are_not(report_folder, withheld) -> None:
    (report_folder / "report.json").write_text(TEXT)
    seal(report_folder)
    path = report_folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["request"]["policy"] = first_version.report()["policy"]
    path.write_text(json.dumps({**manifest, "withheld": withheld}))
    found = verify(report_folder)
    assert found.files > 0 and found.figures == 0
    (difference,) = found.differences
    assert "judged by the first version, whose figures are not computed any more" in difference
    with pytest.raises(VerificationError, match="judged by the first version"):
        found.raise_if_different()
    (report_folder / "examples.parquet").write_bytes(b"other")
    assert any("examples.parquet" in d and "hash" in d for d in verify(report_folder).differences)
