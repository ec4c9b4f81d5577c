"""What a study is made of: one file a kind of stage, a frozen dataclass of what it needs and a `run` that does it."""

from unlearn_audit.experiment.stages.base import (
    ADDED,
    INCIDENTAL,
    MANIFEST,
    Outcome,
    Progress,
    Stage,
    Store,
    Workspace,
    run_stage,
    stage_named,
    with_needs,
)

__all__ = [
    "ADDED",
    "INCIDENTAL",
    "MANIFEST",
    "Outcome",
    "Progress",
    "Stage",
    "Store",
    "Workspace",
    "run_stage",
    "stage_named",
    "with_needs",
]
