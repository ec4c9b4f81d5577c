"""A study's seal, its first stage: what the audit will rest on, committed to before candidates are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from unlearn_audit.auditing.neighbours import write_column
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.data import ImageData
from unlearn_audit.experiment.stages.base import INCIDENTAL, MANIFEST, Stage, Workspace
from unlearn_audit.experiment.stages.examples import PlannedData, PlannedForgetSet
from unlearn_audit.experiment.stages.predictions import FILE, ModelPredictions
from unlearn_audit.files import read_json, sha256, write_text
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.saved.sealing import SEAL, Seal

COLUMNS = "columns.parquet"  # of the examples, by which strata are made


@dataclass(frozen=True, eq=False, kw_only=True)
class StudySeal(Stage):
    """The seal. Models that are there already are committed to by their predictions, others by how they will be made.

    Attributes:
        rests_on: for each model but the candidates, what its predictions are for, and the hash of the stage that makes
            them: over data, forget set, architecture, training and seed.
        candidates: the folders of the stages that make the candidates and their predictions, by name.
        elsewhere: names of candidates that were made elsewhere, and therefore before.
    """

    kind: ClassVar[str] = "seal"
    opens: ClassVar[bool] = True  # a candidate that is made beside it would count as seen
    data: PlannedData
    forget: PlannedForgetSet
    neighbourhood: NeighbourhoodConfig
    measures: tuple[str, ...]
    policy: Policy
    rests_on: Mapping[str, str]
    candidates: Mapping[str, tuple[str, ...]] = field(metadata=INCIDENTAL)
    elsewhere: tuple[str, ...] = field(metadata=INCIDENTAL)

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Look at what is there, and write the seal."""
        stages = workspace.folder.parent
        data = self.data.load()
        there = {what: _made(stages, planned) for what, planned in self.rests_on.items()}
        inputs = {what: digest for what, digest in there.items() if digest}
        if write_strata(workspace.folder / COLUMNS, data, self.neighbourhood):
            inputs["columns"] = sha256(workspace.folder / COLUMNS)
        seal = Seal.over(
            self.forget.choose(data.train).ids,
            inputs=inputs,
            planned={what: planned for what, planned in self.rests_on.items() if not there[what]},
            seen=tuple(name for name, folders in self.candidates.items() if self._is_there(name, stages, folders)),
            policy=self.policy,
            neighbourhood=self.neighbourhood,
            measures=self.measures,
        )
        write_text(workspace.folder / SEAL, seal.to_json())
        return {"sha256": sha256(workspace.folder / SEAL), "seen": list(seal.seen)}

    def _is_there(self, name: str, stages: Path, folders: tuple[str, ...]) -> bool:
        return name in self.elsewhere or any((stages / folder / MANIFEST).exists() for folder in folders)


def write_strata(path: Path, data: ImageData, neighbourhood: NeighbourhoodConfig) -> bool:
    """Write the column of the data that strata are made of, and return whether they are made of one."""
    column = neighbourhood.make_strata().column_needed()
    if column is None:
        return False
    parts = (data.train, data.test)
    values = np.concatenate([part.columns[column].astype(str) for part in parts])
    write_column(path, np.concatenate([part.ids for part in parts]), column, values)
    return True


def _made(stages: Path, planned: str) -> str:
    """Return the SHA-256 of predictions whose stage has this hash; nothing where they are not there yet."""
    try:
        manifest = read_json(stages / f"{ModelPredictions.kind}-{planned[:16]}" / MANIFEST)
        return str(manifest["files"][FILE]["sha256"]) if manifest["hash"] == planned else ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""
