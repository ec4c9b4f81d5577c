"""A Trainer callback that audits the model it trained, and sees that the audit's card is what gets pushed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import Trainer, TrainerCallback

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.publishing.publication import (
    CARD,
    check_verdict,
    check_weights,
    cover_model,
    model_files,
    registered_here,
    stage_audit,
)
from unlearn_audit.reporting.card import find_candidate
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.reporting.folder import render_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments

    from unlearn_audit.reporting.pictures import ImageSource


@dataclass
class AuditCallback(TrainerCallback):
    """Audits at the end of training; with `push_to_hub=True` the audit and its card go to the Hub with the model.

        callback = AuditCallback(audit)
        callback.attach(trainer)
        trainer.train()
        trainer.push_to_hub()

    Attributes:
        audit: takes the trained model, audits it (`predict`, `run_audit`, `save_audit`), and returns the audit's
            folder. It is called on the first process only.
        choices: what may be published; by default nothing that tells who was forgotten.
        images: gives the published report its pictures; without it there are none.
        folder: of the audit, once there is one.

    Trainer uploads `training_args.bin`, a pickle, with the model. `push` does not, and makes one commit of all.
    """

    audit: Callable[[PreTrainedModel], str | Path]
    choices: PublishChoices = field(default_factory=PublishChoices)
    images: ImageSource | None = None
    folder: Path | None = None
    _staged: Path | None = field(default=None, init=False)  # where the published audit lies beside the model

    def attach(self, trainer: Trainer) -> None:
        """Add this callback to a Trainer, whose own card, empty of the audit, is then not written."""
        trainer.add_callback(self)
        trainer.create_model_card = self._keep_card  # type: ignore[method-assign]  # Trainer offers no other way

    def on_train_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """Audit, write the report and, if it will be pushed, put what may be published into the model's folder."""
        if not state.is_world_process_zero:
            return
        self.folder = Path(self.audit(kwargs["model"]))
        render_folder(self.folder)
        if args.push_to_hub:
            output_dir = Path(str(args.output_dir))  # Trainer sets it where none is given
            self._stage(self.folder, output_dir, args.hub_model_id or output_dir.name, kwargs["model"])

    def _stage(self, folder: Path, output_dir: Path, repo_id: str, model: PreTrainedModel) -> None:
        report = AuditReport.load(folder)
        record = find_candidate(report, self.choices.candidate)
        if not self.choices.force:
            check_verdict(report, record)
        check_weights(record, model, unknown_too=self.choices.force)
        stage_audit(
            folder,
            output_dir,
            repo_id=repo_id,
            choices=self.choices,
            images=self.images,
            custom_architecture=registered_here(model),
        )
        self._staged = output_dir

    def _keep_card(self, *args: Any, **kwargs: Any) -> None:
        """Stand in for `Trainer.create_model_card`: the card that is there stays.

        Trainer has just saved the model, and uploads everything next: the audit's manifest now covers both.
        """
        if self._staged is not None:
            cover_model(self._staged, {**model_files(self._staged), CARD: self._staged / CARD})
