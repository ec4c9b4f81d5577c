"""Everything a person reads, made from an audit's folder, which stays whole."""

import pytest

from tests.reporting.audited import make_audited
from unlearn_audit.errors import AuditError, ConfigurationError
from unlearn_audit.reporting.folder import compare_folders, render_folder
from unlearn_audit.saved.manifest import read_manifest
from unlearn_audit.saved.verify import verify


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    return make_audited(tmp_path_factory.mktemp("audited"))


def test_the_folder_is_sealed_over_what_was_written(audited):
    written = {p.relative_to(audited.folder).as_posix() for p in render_folder(audited.folder)}
    assert {"report.html", "README.md", "plots/neighbourhood.svg"} <= written
    assert written <= set(read_manifest(audited.folder).outputs)
    assert verify(audited.folder).differences == ()


def test_formats_are_written_as_asked(audited):
    (written,) = render_folder(audited.folder, formats=("pdf-ready",))
    assert written.name == "report-print.html"
    assert "<script" not in written.read_text(encoding="utf-8")


def test_an_unknown_format_is_named(audited):
    with pytest.raises(ConfigurationError, match="Did you mean 'html'"):
        render_folder(audited.folder, formats=("htm",))


def test_a_folder_that_is_not_whole_is_refused(tmp_path):
    with pytest.raises(AuditError, match=r"manifest\.json"):
        render_folder(tmp_path)


def test_several_folders_are_compared(audited, tmp_path):
    page = compare_folders([audited.folder, audited.folder], tmp_path / "both.html").read_text(encoding="utf-8")
    assert page.count('<article class="audit"') == 2
