"""A report with everything that it was made from, so that it can be moved, kept and checked as one folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from unlearn_audit.files import regular, replacing
from unlearn_audit.names import file_name
from unlearn_audit.remote.sources import fetched_file, placed
from unlearn_audit.saved.manifest import read_manifest, seal
from unlearn_audit.saved.request import AuditRequest

INPUTS = "inputs"


def bundle(request: AuditRequest, folder: str | Path, *, base: str | Path = ".") -> AuditRequest:
    """Copy the files of a request to `inputs/` in a report's folder, and return the request with paths from there.

    Files that lie elsewhere are fetched whole.

    A file that lies in the folder already stays where it is; one that the request names twice is copied once.

    Args:
        request: what the audit is made from.
        folder: of the report, which exists.
        base: of the request's relative paths.

    Raises:
        OSError: where a file cannot be read or written.
    """
    folder, base = Path(folder), Path(base)
    copies: dict[Path | str, str] = {}
    taken: set[str] = set()

    def place(path: str) -> str:
        found = placed(base, path)
        source = found if isinstance(found, str) else found.resolve()
        if source not in copies:
            copies[source] = _copied(source, folder, taken)
        return copies[source]

    return request.with_files(place)


def bundle_report(folder: str | Path) -> None:
    """Copy what a report was made from into its folder, whose manifest then names the copies; signatures do not hold.

    Raises:
        AuditError: where the folder holds no whole report.
        OSError: where a file cannot be read or written.
    """
    seal(folder, bundle(read_manifest(folder).request, folder, base=folder), read_manifest(folder))


def _copied(source: Path | str, folder: Path, taken: set[str]) -> str:
    if isinstance(source, str):
        return fetched_file(source, folder / INPUTS).relative_to(folder).as_posix()
    if source.is_relative_to(folder.resolve()):
        return source.relative_to(folder.resolve()).as_posix()
    (folder / INPUTS).mkdir(exist_ok=True)
    name = file_name(source.stem, source.suffix, taken)
    taken.add(name)
    with replacing(folder / INPUTS / name) as draft:
        shutil.copyfile(regular(source), draft)
    return f"{INPUTS}/{name}"
