"""Arrow batches in the form of DMS files: Op, timestamp, the table's columns, added columns (dms.md 1.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from dms_assets.dms.table_mappings import AddedColumn, Header
from dms_assets.local_dms.decode import stamps
from dms_assets.local_dms.decode.cells import UNCHANGED, Cells, DecodeError, Notes
from dms_assets.local_dms.decode.decoder import Decoder
from dms_assets.local_dms.decode.images import Images
from dms_assets.local_dms.decode.messages import Changes
from dms_assets.local_dms.files.parquet_file import field

_OPERATIONS = pa.array(["I", "U", "D"])
_UTC_MICROS = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A column of a file: which column of the row it comes from, and how it is decoded."""

    name: str
    source: int
    decode: Decoder
    may_be_text: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """The form of a table's files."""

    columns: tuple[OutputColumn, ...]
    added: tuple[AddedColumn, ...]
    timestamp_column: str | None


def _constant(value: Any, kind: pa.DataType, rows: int) -> pa.Array[Any]:
    scalar: Any = pa.scalar(value, kind)
    repeated: pa.Array[Any] = pa.repeat(scalar, rows)
    return repeated


def _batch(
    output: Output,
    operations: pa.Array[Any] | None,
    times: pa.Array[Any],
    arrays: Sequence[pa.Array[Any]],
    header: Callable[[Header], pa.Array[Any]],
) -> pa.RecordBatch:
    columns: list[pa.Array[Any]] = []
    fields: list[pa.Field[Any]] = []

    def add(name: str, array: pa.Array[Any], *, required: bool = False) -> None:
        columns.append(array)
        fields.append(field(name, array.type, required=required))

    if operations is not None:
        add("Op", operations)
    if output.timestamp_column:
        add(output.timestamp_column, times, required=True)
    for column, array in zip(output.columns, arrays, strict=True):
        add(column.name, array)
    for added in output.added:
        add(added.name, header(added.header))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def load_batch(
    output: Output,
    cells: Sequence[Cells],
    rows: int,
    *,
    moved_at: datetime,
    constant_time: bool,
    with_op: bool,
    notes: Notes,
) -> pa.RecordBatch:
    """Rows of a full load. Sequence and position are empty; times are `moved_at`, a microsecond apart by row."""
    micros = np.full(rows, round(moved_at.timestamp() * 1_000_000), np.int64)
    if not constant_time:
        micros += np.arange(rows)
    times = stamps.timestamps(micros)

    def header(kind: Header) -> pa.Array[Any]:
        if kind in {Header.CHANGE_SEQ, Header.STREAM_POSITION}:
            return _constant("", pa.string(), rows)
        return pa.array(micros, _UTC_MICROS)

    arrays = [column.decode(cells[column.source], notes) for column in output.columns]
    return _batch(output, _constant("I", pa.string(), rows) if with_op else None, times, arrays, header)


def change_batch(output: Output, changes: Changes, images: Images, notes: Notes) -> pa.RecordBatch:
    """Rows of changes. Raises DecodeError for a value in a form that its column does not have."""
    source = images.source
    times = stamps.timestamps(changes.commit_micros[source])
    operations = _OPERATIONS.take(pa.array(np.select([images.op == ord("I"), images.op == ord("U")], [0, 1], 2)))

    def header(kind: Header) -> pa.Array[Any]:
        if kind is Header.CHANGE_SEQ:
            return stamps.sequences(changes.tick[source], changes.counter[source] + images.second)
        if kind is Header.STREAM_POSITION:
            return stamps.positions(changes.commit_lsn[source], changes.ordinal[source] + images.second)
        return pa.array(changes.commit_micros[source], _UTC_MICROS)

    arrays: list[pa.Array[Any]] = []
    for column in output.columns:
        cells = images.cells[column.source]
        if images.printed[column.source] and not column.may_be_text:
            raise DecodeError(f"column {column.name} came as text, its type has a binary form")
        notes.add("unchanged large value as null", int((cells.length == UNCHANGED).sum()))
        arrays.append(column.decode(cells, notes))
    return _batch(output, operations, times, arrays, header)


def operation_counts(images: Images) -> dict[str, int]:
    """Rows by what DescribeTableStatistics calls them."""
    names = {"Inserts": "I", "Updates": "U", "Deletes": "D"}
    return {name: int((images.op == ord(letter)).sum()) for name, letter in names.items()}
