"""An audit as files: named inputs in, a folder with `report.json`, `examples.parquet` and `manifest.json` out.

The manifest is written last, so that its existence means that the folder is whole. It names every input with its
hash and all settings, from which `rerun` computes the same report again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unlearn_audit.auditing.audit import Audit, audit
from unlearn_audit.auditing.models import AuditedModel, AuditSubject
from unlearn_audit.auditing.neighbours import NeighbourSource, neighbourhood_of
from unlearn_audit.auditing.report import Provenance
from unlearn_audit.auditing.verdict import Policy
from unlearn_audit.errors import AuditError
from unlearn_audit.id_files import read_ids
from unlearn_audit.neighbourhood import Neighbourhood, NeighbourhoodConfig
from unlearn_audit.predictions import PredictionsFile

MANIFEST = "manifest.json"
_VERSIONED = ("unlearn-audit", "torch", "numpy", "scipy", "transformers", "timm")


@dataclass(frozen=True)
class ModelFiles:
    """Where a model's predictions are (J files for J seeds of a method), and what is known of it."""

    predictions: tuple[str, ...]
    method: str | None = None
    seed: int | None = None
    seconds: float | None = None
    examples: int | None = None


@dataclass(frozen=True)
class AuditRequest:
    """All inputs of an audit: paths, and settings.

    Attributes:
        candidates: files of the unlearned models by name.
        references: files of the retrained models by name.
        forget: a file of the forget set's example ids, or a saved forget set.
        original: the original model's file.
        untrained: an untrained model's file.
        embeddings: a Parquet file with `example_id` and `embedding`, if not the original's own.
        proximities: a Parquet file with `example_id` and the column `proximity`, instead of embeddings.
        neighbourhood: how to cut strata.
        policy: what the verdict rests on.
        measures: names; empty means all.
        class_names: of the classes, if known.
        title: of the report.
        configuration: what else to record.
    """

    candidates: Mapping[str, ModelFiles]
    references: Mapping[str, ModelFiles]
    forget: str
    original: ModelFiles | None = None
    untrained: ModelFiles | None = None
    embeddings: str | None = None
    proximities: str | None = None
    neighbourhood: NeighbourhoodConfig = field(default_factory=NeighbourhoodConfig)
    policy: Policy = field(default_factory=Policy)
    measures: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    title: str = "Unlearning audit"
    configuration: Mapping[str, Any] = field(default_factory=dict)

    def files(self) -> dict[str, str]:
        """Return every input file by what it is for."""
        found = {"forget": self.forget}
        found |= {"embeddings": self.embeddings} if self.embeddings else {}
        found |= {"proximities": self.proximities} if self.proximities else {}
        models = {**self.candidates, **self.references}
        models |= {"original": self.original} if self.original else {}
        models |= {"untrained": self.untrained} if self.untrained else {}
        for name, model in models.items():
            for position, path in enumerate(model.predictions):
                found[f"predictions of {name}" + (f" ({position})" if position else "")] = path
        return found


def run_audit(
    request: AuditRequest,
    *,
    base: str | Path = ".",
    command: str = "",
    progress: Callable[[str, int, int], None] | None = None,
) -> Audit:
    """Read the files of `request`, whose relative paths are from `base`, and audit.

    Args:
        request: what to audit, and how.
        base: of relative paths.
        command: that is recorded in the report.
        progress: called with what is done, how many examples are, and how many there are.

    Raises:
        PredictionsError: for files that cannot be read or do not fit together.
        AuditError: for inputs that do not allow an audit.
    """
    start, base = time.perf_counter(), Path(base)
    subject = read_subject(request, base)
    neighbourhood = read_neighbourhood(request, subject, base)
    measures = request.measures or None
    found = audit(subject, neighbourhood, request.policy, measures=measures, title=request.title, progress=progress)
    provenance = Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=_versions(),
        command=command,
        configuration=dict(request.configuration),
        seconds=round(time.perf_counter() - start, 3),
    )
    return dataclasses.replace(found, report=dataclasses.replace(found.report, provenance=provenance))


def _versions() -> dict[str, str]:
    python = ".".join(map(str, sys.version_info[:3]))
    return {"python": python, **{name: importlib.metadata.version(name) for name in _VERSIONED}}


def read_subject(request: AuditRequest, base: Path) -> AuditSubject:
    """Open the files of a request's models, whose relative paths are from `base`; logits are read when they are used.

    Raises:
        PredictionsError: for files that are no predictions.
        AuditError: for a forget set that cannot be read.
    """

    def model(files: ModelFiles | None) -> AuditedModel | None:
        if files is None:
            return None
        sources = tuple(PredictionsFile(base / path) for path in files.predictions)
        return AuditedModel(sources, files.method, files.seed, files.seconds, files.examples)

    forget = read_ids(base / request.forget)
    saved = forget if isinstance(forget, dict) else {"ids": forget}
    if not isinstance(saved.get("ids"), list):
        raise AuditError(f"{request.forget}: expected a list of example ids or a saved forget set.")
    ids = [str(i) for i in saved["ids"]]
    return AuditSubject(
        candidates={name: model(files) for name, files in request.candidates.items()},
        references={name: model(files) for name, files in request.references.items()},
        forget_ids=ids,
        original=model(request.original),
        untrained=model(request.untrained),
        forget_description=saved.get("description", "given by id"),
        forget_hash=saved.get("hash") or hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest(),
        class_names=request.class_names,
    )


def read_neighbourhood(request: AuditRequest, subject: AuditSubject, base: Path) -> Neighbourhood:
    """Make the neighbourhood of a request's examples.

    Raises:
        AuditError: where there is nothing to take proximities from.
    """
    file = request.proximities or request.embeddings
    source = None if file is None else NeighbourSource(base / file)
    return neighbourhood_of(request.neighbourhood, subject, source)


def save_audit(found: Audit, request: AuditRequest, folder: str | Path, *, base: str | Path = ".") -> None:
    """Write `report.json` and `examples.parquet` to `folder`, then the manifest; `seal` adds what comes later."""
    import pyarrow.parquet as pq

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    (folder / "report.json").write_text(found.report.to_json(), encoding="utf-8")
    pq.write_table(found.ledger, folder / "examples.parquet", compression="zstd")
    seal(folder, _relative(request, Path(base), folder))


def seal(folder: str | Path, request: AuditRequest | None = None) -> None:
    """Write the manifest over all files in `folder`: after a report is rendered again, with the `request` that stands.

    Args:
        folder: of the report.
        request: with paths relative to `folder`; None keeps that of the manifest there.
    """
    folder = Path(folder)
    request = request or read_manifest(folder).request
    outputs = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    manifest = Manifest(
        request=request,
        inputs={what: file_hash(folder / path) for what, path in request.files().items()},
        outputs={p.relative_to(folder).as_posix(): file_hash(p) for p in outputs},
    )
    partial = folder / (MANIFEST + ".partial")
    partial.write_text(manifest.to_json(), encoding="utf-8")
    partial.replace(folder / MANIFEST)


@dataclass(frozen=True)
class Manifest:
    """What went into a report folder and what came out: SHA-256 of each input and output, and the request."""

    request: AuditRequest
    inputs: dict[str, str]
    outputs: dict[str, str]
    withheld: tuple[str, ...] = ()  # populations left out of a published folder
    schema_version: int = 1

    def to_json(self) -> str:
        """Return it as JSON text."""
        return _manifest_adapter().dump_json(self, indent=1).decode()


def read_manifest(folder: str | Path) -> Manifest:
    """Read a report folder's manifest; none, or an altered one, raises `AuditError`."""
    from pydantic import ValidationError

    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise AuditError(
            f"Expected a whole report folder, found no {MANIFEST} in {str(folder)!r}: run the audit again."
        )
    try:
        return _manifest_adapter().validate_json(path.read_bytes())
    except ValidationError as error:
        raise AuditError(f"{path}: this is no manifest of a report: {error.errors()[0]['msg']}.") from error


def _manifest_adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Manifest)


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hex; a missing file raises `AuditError`."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise AuditError(f"Expected the file {str(path)!r}, found none.") from error


def _relative(request: AuditRequest, base: Path, folder: Path) -> AuditRequest:
    """Return the request with paths from `folder` instead of `base`, so that both can move together."""

    def moved(path: str | None) -> str | None:
        return None if path is None else Path(os.path.relpath(base / path, folder)).as_posix()

    def model(files: ModelFiles | None) -> ModelFiles | None:
        return files and dataclasses.replace(files, predictions=tuple(moved(p) for p in files.predictions))

    return dataclasses.replace(
        request,
        candidates={name: model(files) for name, files in request.candidates.items()},
        references={name: model(files) for name, files in request.references.items()},
        original=model(request.original),
        untrained=model(request.untrained),
        forget=moved(request.forget),
        embeddings=moved(request.embeddings),
        proximities=moved(request.proximities),
    )
