"""The report: the figures of the audit as what people read."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from unlearn_audit.experiment.stages.audit import StudyAudit
from unlearn_audit.experiment.stages.base import Stage, Workspace
from unlearn_audit.experiment.stages.examples import PlannedData


@dataclass(frozen=True, eq=False, kw_only=True)
class Report(Stage):
    """The folder of the report, with HTML, card and pictures of the examples."""

    kind: ClassVar[str] = "report"
    data: PlannedData
    audit: StudyAudit

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Copy the audit's folder, and render it."""
        from unlearn_audit.reporting.folder import render_folder

        folder = workspace.folder / "report"
        shutil.copytree(workspace.folder_of(self.audit) / "report", folder, dirs_exist_ok=True)
        written = render_folder(folder, images=self.data.load())
        return {"written": sorted(path.relative_to(folder).as_posix() for path in written)}
