"""`verify`: does a report folder still say what its inputs say?

Every hash in the manifest is checked, and every figure is computed again from the predictions that it names. Figures
may differ by rounding on another machine: by `RELATIVE` of the larger, or `ABSOLUTE`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unlearn_audit.auditing.audit import Findings
from unlearn_audit.auditing.policy import FirstPolicy
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.bounded import read_parquet
from unlearn_audit.errors import AuditError, HubError, StoreError, UnlearnAuditError, VerificationError
from unlearn_audit.names import leads_elsewhere, shown
from unlearn_audit.populations import POPULATIONS, TEST
from unlearn_audit.remote.sources import base_name, is_remote_file, placed
from unlearn_audit.saved.manifest import MANIFEST, SIGNATURES, Manifest, file_hash, read_manifest
from unlearn_audit.saved.published import FIRST_VERSION, consequences, escaped, recomputed_test_figures
from unlearn_audit.saved.running import run_audit
from unlearn_audit.saved.sealing import SEAL, broken, read_seal, unproven

MODEL_FILES = (  # all by which a model is loaded
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "adapter_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
)
TOPS = ("..", "../..")  # the ways from a published audit to its model
ANSWERS_ALONE = "Only the answers are published, without the figures that they follow from: these are not checked."
RELATIVE = 1e-4
ABSOLUTE = 1e-6
_SHOWN = 20


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        files: how many files' hashes were checked.
        figures: how many figures were computed again and compared.
        differences: what does not agree, one sentence each; empty if all is well.
        not_checked: what could not be checked, and why: populations that a published folder withholds.
        weights: names of the models whose weights are here, and were hashed again.
        absent: names of the models whose weights are not here.
        retrained: what training a reference again showed, in a sentence; empty where none was.
        stamped: what a time stamp of the seal showed, in a sentence; empty where it was not asked for.
    """

    files: int
    figures: int
    differences: tuple[str, ...]
    not_checked: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    retrained: str = ""
    stamped: str = ""

    def raise_if_different(self) -> None:
        """Raise `VerificationError` with all differences, if there are any."""
        if self.differences:
            shown = "\n".join(f"- {difference}" for difference in self.differences[:_SHOWN])
            more = f"\n… and {len(self.differences) - _SHOWN} more" if len(self.differences) > _SHOWN else ""
            raise VerificationError(f"The report does not agree with its inputs:\n{shown}{more}")


def verify(folder: str | Path, *, progress: Callable[[str, int, int], None] | None = None) -> Verification:
    """Check a report folder against the manifest and the predictions named there.

    Of a published folder, the files of the model and the card beside it are checked too, and no others may be there.

    Args:
        folder: with `report.json`, `examples.parquet` and `manifest.json`; the predictions lie where the manifest says,
            relative to it.
        progress: called with what is done, how many examples are, and how many there are.

    Raises:
        AuditError: where there is no manifest, or it cannot be read.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    astray = tuple(_leading_elsewhere(manifest))
    if astray:
        return Verification(0, 0, astray)
    differences = [*_hash_differences(folder, manifest), *_unknown_files(folder, manifest)]
    files = len(manifest.outputs) + (0 if manifest.withheld else len(manifest.inputs))
    files += len(manifest.model.files) if manifest.model else 0
    if manifest.withheld:
        return _verified_where_published(folder, manifest, files, differences)
    try:
        saved = AuditReport.load(folder)
        if isinstance(saved.policy, FirstPolicy):
            raise AuditError(FIRST_VERSION)
        found = run_audit(manifest.request, base=folder, progress=progress)
    except UnlearnAuditError as error:
        return Verification(files, 0, (*differences, f"The audit cannot be run again: {error}"))
    differences += _seal_differences(folder, saved, manifest)
    pairs = list(_figure_pairs(saved, found))
    differences += [f"report.json {place}: saved {a!r}, computed {b!r}" for place, a, b in pairs if not _agree(a, b)]
    differences += _ledger_differences(folder, found)
    not_checked = (*_seal_not_checked(folder, manifest), *_bytes_not_checked(manifest))
    return Verification(files, len(pairs), tuple(differences), not_checked)


def _verified_where_published(folder: Path, manifest: Manifest, files: int, differences: list[str]) -> Verification:
    withheld = (
        f"Predictions on {' and '.join(manifest.withheld)} examples are withheld: what rests on them is not checked.",
    )
    if POPULATIONS[TEST] in manifest.withheld:
        return Verification(files, 0, tuple(differences), (ANSWERS_ALONE,))
    try:
        report = AuditReport.load(folder)
        found = [*recomputed_test_figures(folder, report, manifest.request), *consequences(report)]
    except (UnlearnAuditError, OSError) as error:
        return Verification(files, 0, (*differences, f"The test set cannot be audited again: {error}"), withheld)
    pairs = [
        (f"{place}{leaf}", a, b)
        for place, saved, computed in found
        for leaf, a, b in _paired_leaves(_plain(saved), _plain(computed))
    ]
    differences += [f"report.json {place}: saved {a!r}, computed {b!r}" for place, a, b in pairs if not _agree(a, b)]
    return Verification(files, len(pairs), tuple(differences), withheld)


def _seal_differences(folder: Path, report: AuditReport, manifest: Manifest) -> Iterator[str]:
    """Name what of the audit is not as it was sealed."""
    path = folder / SEAL
    if not path.exists() and not report.provenance.seal:
        return
    try:
        if file_hash(path) != report.provenance.seal:
            yield "seal: the report was made under another seal than the one beside it"
        yield from broken(read_seal(path), manifest.request, folder)
    except UnlearnAuditError as error:
        yield f"seal: it cannot be checked: {error}"


def _seal_not_checked(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Say of which models it cannot be told whether they were made as the seal planned it."""
    try:
        found = unproven(read_seal(folder / SEAL), manifest.request, folder)
    except UnlearnAuditError:
        return
    if found:
        yield f"Nothing here says that these were made as the seal planned it: {', '.join(found)}."


def _bytes_not_checked(manifest: Manifest) -> Iterator[str]:
    """Say which files were not hashed, since they stay elsewhere and only ranges of them are read."""
    found = [what for what, path in manifest.request.files().items() if is_remote_file(path)]
    if found:
        yield (
            f"These stay where they lie, and were not hashed here: {', '.join(found)}. That their content is the same "
            "is what their store says; the figures were computed from it again."
        )


def _plain(value: Any) -> Any:
    is_value = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return json.loads(json.dumps(dataclasses.asdict(value) if is_value else value))


def _hash_differences(folder: Path, manifest: Manifest) -> Iterator[str]:
    paths = [(what, placed(folder, path)) for what, path in manifest.request.files().items()]
    expected: list[tuple[str, Path | str, str | None]]
    expected = [] if manifest.withheld else [(what, path, manifest.inputs.get(what)) for what, path in paths]
    expected += [(name, folder / name, digest) for name, digest in manifest.outputs.items()]
    expected += [(name, _top(folder, manifest) / name, digest) for name, digest in _beside(manifest).items()]
    for what, path, digest in expected:
        try:
            found = file_hash(path)
        except AuditError:
            is_there = isinstance(path, Path) and path.exists()
            yield f"{what}: the file {base_name(path)} is {'no plain file' if is_there else 'missing'}"
            continue
        except (HubError, StoreError) as error:
            yield f"{what}: {error}"
            continue
        if found != digest:
            yield f"{what}: {base_name(path)} has the hash {found[:12]}…, the manifest says {str(digest)[:12]}…"


def _leading_elsewhere(manifest: Manifest) -> Iterator[str]:
    """Name the paths of a published audit by which files of the reader's machine would be read."""
    if manifest.model is None:
        return
    inputs = () if "test" in manifest.withheld else tuple(manifest.request.files().values())
    for name in (*manifest.outputs, *manifest.model.files, *(path for path in inputs if path != "withheld")):
        if leads_elsewhere(name):
            yield f"{shown(name)}: this leads out of the published folder, so nothing was read"
    if manifest.model.top not in TOPS:
        yield f"{shown(manifest.model.top)}: the model lies beside its audit, not there, so nothing was read"


def _beside(manifest: Manifest) -> dict[str, str]:
    """Return the hashes of the files of model and card that lie beside a published folder."""
    return manifest.model.files if manifest.model else {}


def _top(folder: Path, manifest: Manifest) -> Path:
    """Return the folder in which the files of model and card lie."""
    return folder / manifest.model.top if manifest.model else folder.parent


def _unknown_files(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Name the files of a published audit, and those by which a model is loaded, that the manifest does not."""
    if manifest.model is None:
        return
    here = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    beside = {p.name for pattern in MODEL_FILES for p in _top(folder, manifest).glob(pattern)}
    unknown = sorted(here - manifest.outputs.keys() - {MANIFEST, SIGNATURES})
    unknown = [f"{folder.name}/{name}" for name in unknown] + sorted(beside - _beside(manifest).keys())
    for name in unknown:
        yield f"{name}: the manifest does not name this file"


def _figure_pairs(saved: AuditReport, found: Findings) -> Iterator[tuple[str, Any, Any]]:
    """Yield (JSON pointer, saved, computed) of every value but the provenance."""
    mine, other = json.loads(saved.to_json()), json.loads(found.report.to_json())
    for report in (mine, other):
        report.pop("provenance")
    yield from _paired_leaves(mine, other)


def _paired_leaves(mine: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    left, right = dict(_leaves(mine, "")), dict(_leaves(other, ""))
    for place in left | right:
        yield place, left.get(place), right.get(place)


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{place}/{escaped(key)}")
    elif isinstance(value, list):
        yield f"{place}/length", len(value)
        for index, item in enumerate(value):
            yield from _leaves(item, f"{place}/{index}")
    else:
        yield place, value


def _agree(a: Any, b: Any) -> bool:
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b))
    return math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE) if numbers else a == b


def _ledger_differences(folder: Path, found: Findings) -> list[str]:
    import pyarrow as pa

    try:
        saved = read_parquet(folder / "examples.parquet")
    except (OSError, pa.ArrowException) as error:
        return [f"examples.parquet cannot be read: {error}"]
    if saved.column_names != found.ledger.column_names or len(saved) != len(found.ledger):
        return ["examples.parquet: other columns or rows than the audit computes"]
    differences = []
    for name in saved.column_names:
        mine, other = (t.column(name).to_numpy() for t in (saved, found.ledger))
        if not _same_column(mine, other):
            differences.append(f"examples.parquet: the column {name!r} differs from what the audit computes")
    return differences


def _same_column(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        return bool(np.allclose(a, b, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True))
    return bool(np.array_equal(a, b))
