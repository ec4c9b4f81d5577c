"""The front door: one call from arrays, predictions or files to an audit, which can be shown and saved."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.auditing.audit import Findings, audit_subject
from unlearn_audit.auditing.models import AuditSubject, Models
from unlearn_audit.auditing.neighbours import NeighbourSource, neighbourhood_of
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.folders import claim_folder
from unlearn_audit.given import (
    ArrayRows,
    Given,
    GivenModel,
    GivenValues,
    given_columns,
    given_embeddings,
    given_forget,
    given_models,
    given_proximities,
)
from unlearn_audit.names import file_name
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions import Predictions
from unlearn_audit.predictions.names import Names
from unlearn_audit.saved.bundle import bundle
from unlearn_audit.saved.forgotten import Forgotten
from unlearn_audit.saved.request import AuditRequest, ModelFiles
from unlearn_audit.saved.running import REPORT, save_audit, with_provenance

if TYPE_CHECKING:
    from unlearn_audit.data.images import ImageData

PREDICTIONS_FOLDER = "predictions"  # of a report's folder: what was in memory


def audit(
    candidates: Given | Sequence[Given] | Mapping[str, Given | Sequence[Given]],
    references: Given | Sequence[Given] | Mapping[str, Given],
    forget: Any,
    *,
    original: Given | None = None,
    untrained: Given | None = None,
    labels: Any = None,
    example_ids: Any = None,
    splits: Any = None,
    embeddings: Any = None,
    proximities: Any = None,
    columns: Any = None,
    names: Names | None = None,
    policy: Policy | None = None,
    neighbourhood: NeighbourhoodConfig | None = None,
    measures: Sequence[str] = (),
    class_names: Sequence[str] = (),
    title: str = "Unlearning audit",
) -> Audit:
    """Audit unlearned models against retrained ones.

    A model is given as `Predictions`, as the path of a file of predictions (Parquet, `.npz` or `.csv`, here or at
    `hf://…` or `s3://…`, where Parquet is read by ranges and stays), or as an array of logits (n, c), whose rows
    `labels`, `example_ids` and `splits` describe. Rows of different models are matched by their ids, in any order.

    Args:
        candidates: the unlearned models: one, a list, or a mapping by name. In a mapping, a list is one method with
            several seeds.
        references: the retrained models, at least 3 for a verdict: one, a list, or a mapping by name.
        forget: the forget set: ids, a `ForgetSet`, the path of a file of ids, or a mask (n,) over the rows of arrays.
        original: the model before unlearning, or a list of several that differ in their seed, which the candidates of
            a method were made from. The (first) one's embeddings, if it has any, say who is near the forget set.
        untrained: a model that learned nothing; it must fail.
        labels: (n,) classes from 0 of the rows of all arrays.
        example_ids: (n,) ids of these rows; the row numbers by default.
        splits: (n,) "train" or "test"; by default all are training examples.
        embeddings: (n, d) of these rows, or a Parquet file with `example_id` and `embedding`; else the original's.
        proximities: (n,) of these rows, larger is nearer, or a Parquet file with `example_id` and `proximity`; instead
            of embeddings.
        columns: (n,) values of `neighbourhood.column` of these rows, or a Parquet file with `example_id` and that
            column, where strata are made of one. Such strata, and those by class, need no embeddings.
        names: of columns, splits and classes in files and tables, where they are not ours.
        policy: what the verdict rests on.
        neighbourhood: how to cut strata.
        measures: names; all by default.
        class_names: c names; by default those of `names.classes`, or the indices.
        title: of the report.

    Raises:
        PredictionsError: where predictions cannot be read, or do not fit together.
        AuditError: where the inputs do not allow an audit.
        ConfigurationError: for names that are unknown, or given twice.
    """
    start = time.perf_counter()
    rows = ArrayRows.of(labels, example_ids, splits)
    names, neighbourhood = names or Names(), neighbourhood or NeighbourhoodConfig()
    inputs = Inputs(
        models=given_models(candidates, references, original, untrained, rows, names),
        forget=given_forget(forget, rows),
        embeddings=given_embeddings(embeddings, rows, names),
        proximities=given_proximities(proximities, rows, names),
        columns=given_columns(columns, rows, neighbourhood.make_strata().column_needed(), names),
        settings={
            "policy": policy or Policy(),
            "neighbourhood": neighbourhood,
            "measures": tuple(measures),
            "names": names,
            "class_names": tuple(class_names) or names.classes,
            "title": title,
        },
    )
    return inputs.audited(start)


@dataclass(frozen=True, eq=False)
class Inputs:
    """All that an audit was made from, as it was given: in memory, or the paths of files."""

    models: Models[GivenModel]
    forget: Forgotten
    embeddings: NeighbourSource | None
    proximities: NeighbourSource | None
    columns: NeighbourSource | None
    settings: Mapping[str, Any]  # the fields of `AuditRequest` that are no files

    def audited(self, start: float) -> Audit:
        """Audit; `start` is when the work began, by `time.perf_counter`."""
        models, settings = self.models.map(lambda _, model: model.audited()), self.settings
        subject = AuditSubject(
            models.candidates,
            models.references,
            models.original,
            models.untrained,
            forget_ids=self.forget.ids,
            forget_description=self.forget.description,
            forget_hash=self.forget.hash,
            class_names=settings["class_names"],
        )
        neighbourhood = neighbourhood_of(
            settings["neighbourhood"], subject, self.proximities or self.embeddings, self.columns
        )
        found = audit_subject(
            subject, neighbourhood, settings["policy"], measures=settings["measures"], title=settings["title"]
        )
        found = with_provenance(found, {}, start=start)
        return Audit(found.report, found.ledger, self)

    def written_to(self, folder: Path) -> AuditRequest:
        """Write what was in memory to `folder`, and return a request with paths from there."""
        (folder / PREDICTIONS_FOLDER).mkdir(parents=True, exist_ok=True)
        self.forget.save(folder / "forget.json")
        taken: set[str] = set()

        def written(name: str, model: GivenModel) -> ModelFiles:
            paths = []
            for source, path in zip(model.sources, model.paths, strict=True):
                if isinstance(source, Predictions) and path is None:
                    file = file_name(name, ".parquet", taken)
                    taken.add(file)
                    source.save(folder / PREDICTIONS_FOLDER / file)
                    paths.append(f"{PREDICTIONS_FOLDER}/{file}")
                else:
                    paths.append(path if isinstance(path, str) else str(Path(path or "").resolve()))
            return ModelFiles(tuple(paths))

        models = self.models.map(written)
        return AuditRequest(
            candidates=models.candidates,
            references=models.references,
            original=models.original,
            untrained=models.untrained,
            forget="forget.json",
            embeddings=_written(self.embeddings, folder),
            proximities=_written(self.proximities, folder),
            columns=_written(self.columns, folder),
            **self.settings,
        )


def _written(source: NeighbourSource | None, folder: Path) -> str | None:
    if source is None:
        return None
    if not isinstance(source, GivenValues):
        return str(source.path.resolve())
    name = f"{source.path.name}.parquet"
    source.save(folder / name)
    return name


@dataclass(frozen=True, eq=False, repr=False)
class Audit(Findings):
    """An audit: what it found, and what it was made from, so that it can be saved.

    Printing it tells the outcome in about three sentences; a notebook shows the verdicts.

    Attributes:
        report: everything that was found, as a value.
        ledger: an Arrow table with one row an example: proximity, stratum, and each model's discrepancy.
        inputs: what it was made from.
    """

    inputs: Inputs

    def save(self, folder: str | Path, *, images: ImageData | None = None, with_inputs: bool = False) -> Path:
        """Write a report's folder, and return it: HTML, plots, model cards, `report.json` and the ledger.

        Predictions that were in memory are written to `predictions/` in it; files stay where they are, and the manifest
        names them. `unlearn_audit.verify` then computes every figure again.

        Args:
            folder: is made, or holds an earlier report, which is replaced.
            images: gives pictures of the examples that are hit worst, forgotten ones too; without it there are none.
            with_inputs: copy the files to `inputs/` in the folder, so that it can be moved alone, and verified there.

        Raises:
            ConfigurationError: where the folder holds anything else.
        """
        from unlearn_audit.reporting.folder import render_folder

        folder = claim_folder(folder, REPORT)
        request = self.inputs.written_to(folder)
        save_audit(self, bundle(request, folder, base=folder) if with_inputs else request, folder, base=folder)
        render_folder(folder, images=images)
        return folder
