"""What a file from anywhere would take of memory, asked before anything is allocated; Parquet is read through it.

A small file can say that it holds more than any machine: by compression, by runs of one value, or by a dictionary whose
longest entry every row points to. Arrow believes what a file says of itself, so this is compared with the memory that
is free first.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.files import regular

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MEMORY_SHARE = 0.5  # of the memory that this machine has free, which one read may take
_MOST_GROWTH = 1000  # of what is stored, which a read of one row group after the other may take without being a bomb
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}  # bytes of a value
_LEVELS = 4  # bytes that say of a value in a list which list, and whether there is one
_TEXT = 16  # bytes of a text beside its characters


class TooLargeError(OSError):
    """A file that would take more memory than this machine can spare."""


def check_fits(needed: int) -> None:
    """Raise `TooLargeError` where `needed` bytes are more than this machine can spare."""
    import psutil

    free = psutil.virtual_memory().available
    if needed > MEMORY_SHARE * free:
        raise TooLargeError(
            f"it says that it holds {needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB of memory are free. Is it "
            "damaged? Otherwise use a machine with more memory."
        )


def open_parquet(path: str | Path | pa.NativeFile, **options: Any) -> pq.ParquetFile:
    """Open a Parquet file, whose texts are read as dictionaries: a run of one text then takes no memory.

    Args:
        path: of the file, or what Arrow reads it by where it lies elsewhere.
        options: of `pyarrow.parquet.ParquetFile`.

    Raises:
        OSError: where it is no plain file, or names its columns by no Unicode.
        pyarrow.ArrowException: where it is no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = regular(path) if isinstance(path, str | Path) else path
    with pq.ParquetFile(source, metadata=options.pop("metadata", None)) as file:
        try:
            texts = [field.name for field in file.schema_arrow if _is_text(pa, field.type)]
        except UnicodeDecodeError as error:
            raise OSError(f"the names of its columns are no Unicode: {error}") from error
        metadata = file.metadata
    return pq.ParquetFile(source, metadata=metadata, read_dictionary=texts, **options)


def read_bounded(file: pq.ParquetFile, columns: Iterable[str] | None = None) -> pa.Table:
    """Read columns whole, all by default, if they fit.

    Raises:
        TooLargeError: where they would take too much memory.
        pyarrow.ArrowException: where the file is damaged.
    """
    names = list(file.schema_arrow.names if columns is None else columns)
    check_fits(sum(_needed(file, group, names)[0] for group in range(file.num_row_groups)))
    return _plain(file.read(columns=names))


def read_parquet(path: str | Path, columns: Iterable[str] | None = None) -> pa.Table:
    """Open a Parquet file and read columns whole; raises as `open_parquet` and `read_bounded`."""
    with open_parquet(path) as file:
        return read_bounded(file, columns)


def check_streamable(file: pq.ParquetFile, column: str) -> None:
    """Raise `TooLargeError` where a row group of a column, read in batches, is a bomb."""
    for group in range(file.num_row_groups):
        needed, stored = _needed(file, group, [column])
        if needed > _MOST_GROWTH * stored:
            check_fits(needed)


def _needed(file: pq.ParquetFile, group: int, names: list[str]) -> tuple[int, int]:
    """Return the bytes that columns of a row group take in memory, texts as dictionaries, and in the file."""
    found = file.metadata.row_group(group)
    needed = stored = 0
    for place in range(found.num_columns):
        column = found.column(place)
        if column.path_in_schema.split(".")[0] in names:
            width = _WIDTHS.get(column.physical_type, _LEVELS)
            needed += max(column.total_uncompressed_size, 0) + max(column.num_values, 0) * (width + _LEVELS)
            stored += max(column.total_compressed_size, 0)
    return max(needed, found.num_rows), stored


def _plain(table: pa.Table) -> pa.Table:
    """Return a table whose dictionaries of texts are texts, if they fit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type) and _is_text(pa, field.type.value_type):
            column = table.column(place)
            for chunk in column.chunks:
                check_fits(_TEXT * len(chunk) + (pc.sum(_lengths(chunk)).as_py() or 0))
            table = table.set_column(place, field.name, column.cast(field.type.value_type))
    return table


def _lengths(chunk: pa.DictionaryArray) -> pa.Array:
    """Return the bytes of each text (n,)."""
    import pyarrow.compute as pc

    return pc.take(pc.binary_length(chunk.dictionary), chunk.indices).cast("int64")


def _is_text(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))
