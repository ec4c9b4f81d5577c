from tests.publishing.conftest import hub

__all__ = ["hub"]
