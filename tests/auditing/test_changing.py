import dataclasses

import pytest

from unlearn_audit.auditing._changing import changed
from unlearn_audit.auditing.questions import Finding
from unlearn_audit.auditing.statistics import StratumStatistics


def test_a_copy_is_that_of_dataclasses() -> None:
    finding = Finding("forget", "level", 30, 0.5, 0.25, 0.25, lower=0.125)
    assert changed(finding, upper=1.0, outside=True) == dataclasses.replace(finding, upper=1.0, outside=True)
    assert finding.upper is None


@pytest.mark.parametrize("kind", [Finding, StratumStatistics])
def test_what_is_copied_has_plain_fields(kind: type) -> None:
    assert not hasattr(kind, "__post_init__") and not hasattr(kind, "__slots__")
