"""The data and the forget set that a study was planned for: their hashes decide, where a stage finds them does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from unlearn_audit.data import ForgetSet, ImageData, Images
from unlearn_audit.errors import DataError
from unlearn_audit.experiment.config import DataConfig, ForgetConfig
from unlearn_audit.experiment.stages.base import ADDED, INCIDENTAL


@dataclass(frozen=True)
class PlannedData:
    """The training and test images, by their fingerprint."""

    fingerprint: str
    config: DataConfig = field(metadata=INCIDENTAL)
    ids: str | None = field(default=None, metadata=ADDED)  # what examples are known by

    def load(self) -> ImageData:
        """Load the images; a process loads them once.

        Raises:
            DataError: where they are no longer what they were when the study was planned.
        """
        data = _load(self.config)
        _check_unchanged("data", self.fingerprint, data.fingerprint)
        return data


@dataclass(frozen=True)
class PlannedForgetSet:
    """The forget set, by its hash."""

    hash: str
    config: ForgetConfig = field(metadata=INCIDENTAL)

    def choose(self, images: Images) -> ForgetSet:
        """Choose the forget set among the training images.

        Raises:
            DataError: where it is no longer what it was when the study was planned.
        """
        forget = self.config.choose(images)
        _check_unchanged("forget set", self.hash, forget.hash)
        return forget


@lru_cache(maxsize=2)
def _load(config: DataConfig) -> ImageData:
    return config.load()


def _check_unchanged(what: str, planned: str, found: str) -> None:
    if planned != found:
        raise DataError(
            f"Expected the {what} that the study was planned for ({planned[:12]}…), found another ({found[:12]}…). "
            "Something changed since; start the run again."
        )
