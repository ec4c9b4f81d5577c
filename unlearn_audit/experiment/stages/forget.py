"""The forget set as a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from unlearn_audit.experiment.duplicates import exact_duplicates
from unlearn_audit.experiment.stages.base import Stage, Workspace
from unlearn_audit.experiment.stages.examples import PlannedData, PlannedForgetSet

FILE = "forget.json"


@dataclass(frozen=True, eq=False, kw_only=True)
class SavedForgetSet(Stage):
    """The ids to forget, with their description in words, which reports repeat."""

    kind: ClassVar[str] = "forget"
    data: PlannedData
    forget: PlannedForgetSet
    description: str

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Write the forget set."""
        data = self.data.load()
        forget = self.forget.choose(data.train)
        forget.save(workspace.folder / FILE)
        copies = Counter(copy.split for copy in exact_duplicates(forget, data.train, data.test))
        return {"size": len(forget), "copies": dict(copies)}
