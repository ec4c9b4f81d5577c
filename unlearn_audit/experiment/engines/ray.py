"""Stages on a Ray cluster (https://ray.io): those that do not need each other side by side, on many machines.

`RAY_ADDRESS` names the cluster; without it, one is started on this machine for the time of the run. All
machines must see the study's folder and the data under the same paths. A stage takes one GPU where the
cluster has any, otherwise an equal share of the CPUs. A stage whose worker dies is done again, from its last
checkpoint.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from unlearn_audit.errors import ConfigurationError, UnlearnAuditError
from unlearn_audit.experiment.stages import Progress, Stage, Store, run_stage, with_needs

__all__ = ["run_on_ray"]

RETRIES = 3


def run_on_ray(stages: Sequence[Stage], store: Store, progress: Progress) -> None:
    """Complete all stages, which come in an order in which each follows what it needs.

    Raises:
        ConfigurationError: where Ray is not installed.
        UnlearnAuditError: what a stage raised, or that its workers died again and again.
    """
    with _cluster() as ray:
        store = dataclasses.replace(store, root=store.root.resolve())
        task, share = ray.remote(_run_after), _share(ray.cluster_resources(), stages)
        references: dict[str, Any] = {}
        opening = {stage.hash for stage in with_needs(stage for stage in stages if stage.opens)}
        for stage in with_needs(sorted(stages, key=lambda stage: not stage.opens)):
            first = set() if stage.hash in opening else opening
            needs = [references[key] for key in first | {need.hash for need in stage.needs.values()}]
            references[stage.hash] = task.options(name=stage.name, max_retries=RETRIES, **share).remote(
                stage, store, *needs
            )
        _gather(ray, {references[stage.hash]: stage for stage in stages}, progress)


def _run_after(stage: Stage, store: Store, *needs: object) -> Any:
    """Do a stage in a worker; Ray waits for `needs`, the outcomes of the stages that it needs."""
    return run_stage(stage, store)


def _gather(ray: Any, stages: dict[Any, Stage], progress: Progress) -> None:
    pending = list(stages)
    while pending:
        (done, *_), pending = ray.wait(pending)
        try:
            outcome = ray.get(done)
            if outcome.damage:
                progress.damaged(stages[done], outcome.damage)
            progress.finished(stages[done], outcome)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UnlearnAuditError):
                raise error.cause from None
            raise
        except ray.exceptions.WorkerCrashedError as error:
            name = stages[done].name
            raise UnlearnAuditError(
                f"Stage {name}: its worker died {RETRIES + 1} times, perhaps for want of memory. The stages "
                "that are done stay; start the run again."
            ) from error


@contextmanager
def _cluster() -> Iterator[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigurationError(
            "Expected Ray for --engine ray, and it is not installed: pip install 'unlearn-audit[ray]'."
        ) from error
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def _share(resources: dict[str, float], stages: Sequence[Stage]) -> dict[str, float]:
    """Return what a stage takes: a GPU where there is one, else its part of the CPUs at the widest point."""
    if resources.get("GPU", 0) >= 1:
        return {"num_gpus": 1, "num_cpus": 1}
    depths: dict[str, int] = {}
    for stage in stages:
        depths[stage.hash] = 1 + max((depths[need.hash] for need in stage.needs.values()), default=0)
    width = max(Counter(depths.values()).values())
    return {"num_cpus": max(1, int(resources["CPU"]) // width)}
