import huggingface_hub.constants
import pytest

from tests.publishing.loopback import LoopbackHub
from tests.reporting.audited import Audited, make_audited
from unlearn_audit.remote import faults


@pytest.fixture(scope="session")
def audited(tmp_path_factory) -> Audited:
    return make_audited(tmp_path_factory.mktemp("audited"))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(faults, "WAITS", (0.0, 0.0, 0.0))
    with LoopbackHub() as hub:
        yield hub
        assert hub.unhandled == []
