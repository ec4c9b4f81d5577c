"""The search for a method's learning rate, number of epochs and options, against a retrained model held out for it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from unlearn_audit.auditing.policy import Policy
from unlearn_audit.data import ForgetSet, Images
from unlearn_audit.errors import ConfigurationError, ModelError
from unlearn_audit.experiment.config import MethodConfig, TuningConfig
from unlearn_audit.experiment.stages.base import INCIDENTAL, Stage, Workspace
from unlearn_audit.experiment.stages.examples import PlannedData, PlannedForgetSet
from unlearn_audit.experiment.stages.models import FAILED, ModelStage
from unlearn_audit.experiment.stages.predictions import ModelPredictions
from unlearn_audit.experiment.tuning import Goal, SearchConfig, Tuned, tune
from unlearn_audit.models import load_model
from unlearn_audit.neighbourhood import NeighbourhoodConfig

if TYPE_CHECKING:
    from unlearn_audit.methods.base import UnlearningCallback


@dataclass(frozen=True, eq=False, kw_only=True)
class TunedMethod(Stage):
    """What a search finds for one method; every trial is kept. With `spared`, that none ends is a result, `failed`."""

    kind: ClassVar[str] = "tuned"
    unit: ClassVar[str] = "trials"
    data: PlannedData
    forget: PlannedForgetSet
    method: MethodConfig
    search: SearchConfig
    tuning: TuningConfig
    neighbourhood: NeighbourhoodConfig
    policy: Policy
    seed: int
    original: ModelStage
    original_predictions: ModelPredictions
    held_out_predictions: ModelPredictions
    spared: bool = field(default=False, metadata=INCIDENTAL)

    @property
    def about(self) -> str:
        """The method."""
        return self.method.method

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Search, from the last whole trial if there is one."""
        images = self.data.load().train
        forget = self.forget.choose(images)
        goal = Goal.of(
            self.held_out_predictions.load(workspace),
            self.original_predictions.load(workspace),
            forget,
            images,
            neighbourhood=self.neighbourhood,
            policy=self.policy,
            strata=self.tuning.strata,
            seed=self.seed,
        )
        try:
            found = self._search(goal, images, forget, workspace)
        except ModelError as error:
            if not self.spared:
                raise
            return {FAILED: str(error), "trials": []}
        shutil.rmtree(workspace.folder / "checkpoints", ignore_errors=True)
        with workspace.store.tracking.run(self.name) as log:
            for trial in found.trials:
                log({"search/objective": trial.objective, "search/learning_rate": trial.learning_rate})
        best = {name: getattr(found.training, name) for name in ("learning_rate", "epochs")}
        return {
            "found": best,
            "options": dict(found.options),
            "unchanged": goal.objective(goal.unchanged),
            "trials": [dataclasses.asdict(trial) for trial in found.trials],
            "diverged": found.diverged,
        }

    def _search(self, goal: Goal, images: Images, forget: ForgetSet, workspace: Workspace) -> Tuned:
        return tune(
            load_model(self.original.made(workspace)),
            images,
            forget,
            prepared(self.method, self.seed, workspace, self.held_out_predictions.model),
            self.method.training,
            search=self.search,
            goal=goal,
            trials=self.tuning.trials,
            folder=workspace.folder / "checkpoints",
            most_seconds=self._most_seconds(workspace),
            advanced=workspace.advanced,
        )

    def _most_seconds(self, workspace: Workspace) -> float | None:
        share, retrained = self.tuning.most_cost, self.held_out_predictions.model
        if share is None:
            return None
        seconds = workspace.results_of(retrained).get("seconds")
        if seconds is None:
            raise ConfigurationError("tuning.most_cost: expected to know how long retraining took, and it is not said.")
        return share * float(seconds)


def prepared(method: MethodConfig, seed: int, workspace: Workspace, oracle: ModelStage | None) -> UnlearningCallback:
    """Return the method, with what a study alone can give it.

    That is a folder for the checkpoints of a local teacher, if it trains one, and an oracle, if it has none.
    """
    given = {}
    if "teacher_folder" in method.options:
        given["teacher_folder"] = str(workspace.folder / "checkpoints" / "teacher")
    if oracle is not None and needs_oracle(method):
        given["oracle"] = str(oracle.made(workspace))
    return method.make(seed=seed, **given)


def needs_oracle(method: MethodConfig) -> bool:
    """Return whether a method learns from a retrained model, and its configuration names none."""
    return method.options.get("oracle", "") is None
