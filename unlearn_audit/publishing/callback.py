"""A Trainer callback that audits the model it trained; nothing reaches the Hub before there is a verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import HubStrategy

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import AuditError, ConfigurationError
from unlearn_audit.models.origin import Origin
from unlearn_audit.models.preprocessing import image_processor
from unlearn_audit.publishing.hub import Destination, PushResult, push
from unlearn_audit.reporting.card import find_candidate
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.reporting.folder import render_folder
from unlearn_audit.reporting.tracking import alert_on_failure, audit_metrics

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments

    from unlearn_audit.reporting.pictures import ImageSource


@dataclass
class AuditCallback(TrainerCallback):
    """Audits at the end of training, and publishes the model with its audit when Trainer is asked to push.

        callback = AuditCallback(audit)
        callback.attach(trainer)
        trainer.train()
        trainer.push_to_hub()

    Whatever `hub_strategy` says, no checkpoint is pushed: it remembers more than the model that is audited, and holds
    pickles. `trainer.push_to_hub()`, and `trainer.save_model()` with `push_to_hub=True`, are then what `push` is: one
    commit of the audited weights (safetensors), card and audit, after every figure was computed again. Before the audit
    of the training that went last, they raise.

    Attributes:
        audit: takes the trained model, audits it (`predict`, `run_audit`, `save_audit`), and returns the audit's
            folder. It is called on the first process only.
        choices: what may be published; by default nothing that tells who was forgotten, and no model that failed.
        images: gives the published report its pictures; without it there are none.
        every: "epoch" or "evaluation": when to call `watch`, too, on the way; the audit itself comes at the end.
        watch: takes the model and returns figures, which are logged where the training is logged: `HeldOut.of(...)` of
            `unlearn_audit.experiment.watching` compares it with a held-out retrained model, so that the references of
            the audit stay unseen. With "evaluation" they are also metrics of the evaluation, by which
            `metric_for_best_model="held_out_objective"` chooses a checkpoint.
        folder: of the audit, once there is one.
    """

    audit: Callable[[PreTrainedModel], str | Path]
    choices: PublishChoices = field(default_factory=PublishChoices)
    images: ImageSource | None = None
    every: Literal["end", "epoch", "evaluation"] = "end"
    watch: Callable[[PreTrainedModel], Mapping[str, float]] | None = None
    folder: Path | None = None
    _trainer: Trainer | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.every not in ("end", "epoch", "evaluation"):
            raise ConfigurationError(f"Expected every to be 'end', 'epoch' or 'evaluation', got {self.every!r}.")
        if (self.every == "end") != (self.watch is None):
            raise ConfigurationError("Expected `watch` together with every='epoch' or 'evaluation', got one of them.")

    def attach(self, trainer: Trainer) -> None:
        """Add this callback to a Trainer and take its pushes over."""
        trainer.add_callback(self)
        callbacks = trainer.callback_handler.callbacks
        callbacks.insert(
            0, callbacks.pop()
        )  # trackers end their runs in `on_train_end`: the audit's figures come first
        if trainer.processing_class is None:  # or what is saved, and pushed, has no image processor
            trainer.processing_class = image_processor(trainer.model)
        trainer.push_to_hub = self._push  # type: ignore[method-assign, assignment]  # Trainer offers no other way
        self._trainer = trainer
        _hold_checkpoints_back(trainer.args)

    def on_init_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep checkpoints here."""
        _hold_checkpoints_back(args)

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """Forget the audit of an earlier training: the weights change now."""
        _hold_checkpoints_back(args)
        self.folder = None

    def on_train_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """Audit, write the report, and log the answers to where the training is logged."""
        if not state.is_world_process_zero:
            return
        folder = Path(self.audit(kwargs["model"]))
        render_folder(folder)
        self.folder = folder
        report = AuditReport.load(folder)
        if self._trainer is not None:
            self._trainer.log(audit_metrics(report, find_candidate(report, self.choices.candidate).name))
        alert_on_failure(report, _listed(args.report_to or ()))

    def on_epoch_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """Log the figures of `watch`, if it is asked every epoch."""
        if self.every == "epoch":
            self._watched(kwargs["model"])

    def on_evaluate(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """Add the figures of `watch` to those of the evaluation, if it is asked at each."""
        if self.every == "evaluation":
            found = self._watched(kwargs["model"])
            kwargs["metrics"].update({f"eval_{name}": value for name, value in found.items()})

    def _watched(self, model: PreTrainedModel) -> dict[str, float]:
        if self._trainer is None or self.watch is None:
            raise ConfigurationError(
                "Expected AuditCallback to be attached, to log on the way: callback.attach(trainer)."
            )
        found = dict(self.watch(model))
        self._trainer.log(dict(found))
        return found

    def on_push_begin(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """Raise where there is no audit of what would be pushed."""
        if self._trainer is None:
            raise ConfigurationError(
                "Expected AuditCallback to be attached before anything is pushed, because Trainer's own push takes "
                "no audit along: call callback.attach(trainer)."
            )
        if state.is_world_process_zero and self.folder is None:
            raise AuditError(
                "Expected an audit before anything is pushed, found none of these weights: let trainer.train() end. "
                "Nothing was pushed."
            )

    def _push(
        self,
        commit_message: str | None = None,
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        *,
        tags: str | Sequence[str] = (),
        license: str | None = None,
        finetuned_from: str | None = None,
        dataset: str | Sequence[str] = (),
        model_name: str | None = None,
    ) -> PushResult | None:
        """Stand in for `Trainer.push_to_hub`: publish the audited model; None on all processes but the first.

        It always waits until the Hub has answered, and names its commit, and the card's title, itself. Tags that other
        callbacks gave the model, as trackio does, go into the card.
        """
        trainer = self._trainer
        assert trainer is not None  # `attach` set it when it put this in place
        trainer.callback_handler.on_push_begin(trainer.args, trainer.state, trainer.control)
        trainer.save_model(_internal_call=True)
        if not trainer.is_world_process_zero() or self.folder is None:
            return None
        Origin.of(trainer.model).write(str(trainer.args.output_dir))
        args, output_dir = trainer.args, Path(str(trainer.args.output_dir))
        tags = (*_listed(tags), *_listed(getattr(trainer.model, "model_tags", None) or ()), *self.choices.tags)
        choices = dataclasses.replace(
            self.choices,
            tags=tuple(dict.fromkeys(tags)),
            license=license or self.choices.license,
            base_model=finetuned_from or self.choices.base_model,
            datasets=tuple(_listed(dataset)) or self.choices.datasets,
        )
        if trainer.hub_model_id is None:
            trainer.init_hf_repo(token=token, private=private)
        to = Destination(
            str(trainer.hub_model_id),
            private=bool(args.hub_private_repo if private is None else private),
            revision=revision or args.hub_revision,
            token=token or args.hub_token,
        )
        return push(self.folder, to, model_folder=output_dir, choices=choices, images=self.images)


def _hold_checkpoints_back(args: TrainingArguments) -> None:
    """Let no save be a push: `hub_strategy="end"` is by which Trainer leaves checkpoints here."""
    args.hub_strategy = HubStrategy.END


def _listed(values: str | Sequence[str]) -> Sequence[str]:
    return (values,) if isinstance(values, str) else values
