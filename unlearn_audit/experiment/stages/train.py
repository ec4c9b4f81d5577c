"""Training from scratch: the original model, and retrained models, which never see the forget set."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from transformers import TrainerCallback

from unlearn_audit.data import ForgetSet, ImageData
from unlearn_audit.experiment.planned_models import PlannedModel
from unlearn_audit.experiment.stages.base import Workspace
from unlearn_audit.experiment.stages.examples import PlannedData, PlannedForgetSet
from unlearn_audit.experiment.stages.models import MODEL, ModelStage
from unlearn_audit.models import merge, save_model, weights_hash
from unlearn_audit.training import TrainingConfig, TrainingRun, fit


@dataclass(frozen=True, eq=False, kw_only=True)
class Original(ModelStage):
    """The original model, trained on all training examples."""

    kind: ClassVar[str] = "original"
    data: PlannedData
    model: PlannedModel
    training: TrainingConfig
    seed: int

    @property
    def about(self) -> str:
        """The architecture, or the checkpoint that it starts from."""
        return self.model.shown

    @property
    def epochs(self) -> float:
        """Of the training."""
        return self.training.epochs

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Train the model, from the last checkpoint if there is one."""
        return self.fit(workspace, self.data.load(), None)

    def fit(self, workspace: Workspace, data: ImageData, forget: ForgetSet | None) -> Mapping[str, Any]:
        """Train on the training examples without those of `forget`, and save the model."""
        run = fit(
            self.model.adapt(self.model.create(data.train, self.seed)),
            data.train,
            self.training,
            seed=self.seed,
            output_dir=workspace.folder / "checkpoints",
            forget=forget,
            progress=False,
            callbacks=[ReportSteps(workspace), *workspace.store.tracking.callbacks(self.name)],
        )
        return save_run(run, workspace)


@dataclass(frozen=True, eq=False, kw_only=True)
class Retrained(Original):
    """A retrained model: trained as the original was, without the forget set and from a seed of its own."""

    kind: ClassVar[str] = "retrained"
    forget: PlannedForgetSet

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Train the model, from the last checkpoint if there is one."""
        data = self.data.load()
        return self.fit(workspace, data, self.forget.choose(data.train))


class ReportSteps(TrainerCallback):
    """Tells a workspace how many optimizer steps of all are done."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Pass the steps on."""
        self._workspace.advanced(state.global_step, state.max_steps)


def save_run(run: TrainingRun, workspace: Workspace) -> dict[str, Any]:
    """Save a trained model, remove the checkpoints, and return what it cost, for the manifest."""
    model = merge(run.model)
    save_model(model, workspace.folder / MODEL)
    shutil.rmtree(workspace.folder / "checkpoints", ignore_errors=True)
    return {
        "seconds": run.seconds,
        "cpu_seconds": run.cpu_seconds,
        "examples": run.examples,
        "steps": run.steps,
        "weights_hash": weights_hash(model),
        "log": list(run.log),
        **({} if run.change is None else {"change": dataclasses.asdict(run.change)}),
    }
