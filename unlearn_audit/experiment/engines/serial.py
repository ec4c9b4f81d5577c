"""One stage after the other, in this process."""

from __future__ import annotations

from collections.abc import Sequence

from unlearn_audit.experiment.stages import Progress, Stage, Store, run_stage

__all__ = ["run_serial"]


def run_serial(stages: Sequence[Stage], store: Store, progress: Progress) -> None:
    """Complete all stages, which come in an order in which each follows what it needs.

    Two runs in one folder share the work: a stage that the other is at is left for later, and waited for
    only when there is nothing else to do.
    """
    pending = list(stages)
    while pending:
        left = {stage.hash for stage in pending}
        ready = [stage for stage in pending if not any(need.hash in left for need in stage.needs.values())]
        done = next((stage for stage in ready if run_stage(stage, store, progress, wait=False)), None)
        if done is None:
            done = ready[0]
            progress.waiting(done)
            run_stage(done, store, progress)
        pending.remove(done)
