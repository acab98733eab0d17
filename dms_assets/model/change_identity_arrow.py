"""`_change_id` for a whole file at once: the bytes of `canonical_bytes`, built column by column, hashed row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dms_assets.model.canonical_bytes import CANONICAL_NAN, DECIMAL_BYTES, DECIMAL_SCALE, NULL, TAGS, string
from dms_assets.model.change_columns import COMMIT_AT, FILE_ROW, OP, POSITION
from dms_assets.model.change_identity import (
    COMMIT_TYPE,
    ID_BYTES,
    POSITION_TYPE,
    Origin,
    PositionMissingError,
    id_prefix,
)
from dms_assets.model.logical_type import Kind, LogicalType
from dms_assets.model.table_metadata import TableMetadata

SLICE_ROWS = 65_536
SLICE_BYTES = 64 * 1024 * 1024
"""Rows are hashed in slices of about this size, so that a file of large values needs no second copy of itself."""

_Bytes = npt.NDArray[np.uint8]


def change_ids(rows: pa.Table, metadata: TableMetadata, origin: Origin, *, unique_positions: bool) -> pa.BinaryArray:
    """The identities of the rows of one landed file: 16 bytes each, in order.

    `rows` has the metadata's columns in their exact types (`LogicalType.arrow`), and `_op`, `_commit_at`,
    `_position` and `_file_row`. Raises KeyError for a missing column, TypeError for one of another type, and
    PositionMissingError for a change without position where positions are unique.
    """
    digests: list[bytes] = []
    prefix = id_prefix(metadata, origin, unique_positions=unique_positions)
    for piece in _slices(rows):
        joined = _joined(_parts(piece, metadata, origin, unique_positions=unique_positions))
        offsets = _buffer(joined, 1).view(np.int64)[joined.offset : joined.offset + len(joined) + 1]
        data = _buffer(joined, 2).data
        begun = sha256(prefix)
        for start, end in pairwise(offsets.tolist()):
            digest = begun.copy()
            digest.update(data[start:end])
            digests.append(digest.digest())
    ids = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)[:, :ID_BYTES]
    identities: pa.BinaryArray = _fixed_width(np.ascontiguousarray(ids), None, pa.binary())
    return identities


def _buffer(array: pa.Array[Any], index: int) -> _Bytes:
    return np.asarray(memoryview(array.buffers()[index] or b"")).view(np.uint8)


def _slices(rows: pa.Table) -> Iterator[pa.Table]:
    row_bytes = max(1, rows.nbytes // max(1, rows.num_rows))
    step = max(1, min(SLICE_ROWS, SLICE_BYTES // row_bytes))
    for start in range(0, rows.num_rows, step):
        yield rows.slice(start, step)


def _parts(rows: pa.Table, metadata: TableMetadata, origin: Origin, *, unique_positions: bool) -> list[pa.Array[Any]]:
    """What follows the prefix, piece by piece, in the order of `change_identity.change_id`."""
    if not metadata.key:
        return _value(_column(rows, FILE_ROW, LogicalType(Kind.INT64)), LogicalType(Kind.INT64))
    parts: list[pa.Array[Any]] = []
    for name in metadata.key:
        logical_type = metadata.column(name).type
        parts += _value(_column(rows, name, logical_type), logical_type)
    if origin.load_id is not None:
        return parts
    position = _column(rows, POSITION, POSITION_TYPE)
    if unique_positions and position.null_count:
        raise PositionMissingError(origin.file.key)
    parts += _value(_column(rows, COMMIT_AT, COMMIT_TYPE), COMMIT_TYPE)
    parts += _value(position, POSITION_TYPE)
    if unique_positions:
        parts += _value(_column(rows, OP, POSITION_TYPE), POSITION_TYPE)
        for column in sorted(metadata.columns, key=lambda column: column.name.encode()):
            values = _column(rows, column.name, column.type)
            if values.null_count < len(values):
                parts += _encoded(values, column.type, string(column.name))
    return parts


def _joined(parts: list[pa.Array[Any]]) -> pa.Array[Any]:
    pieces: list[Any] = [*parts, pa.scalar(b"", pa.large_binary())]
    joined: pa.Array[Any] = pc.binary_join_element_wise(*pieces, null_handling="replace", null_replacement="")
    return joined


def _column(rows: pa.Table, name: str, logical_type: LogicalType) -> pa.Array[Any]:
    column: pa.Array[Any] = rows.column(name).combine_chunks()
    if column.type != logical_type.arrow:
        raise TypeError(f"column '{name}' is {column.type}, not {logical_type.arrow}; cast it to the metadata's type")
    return column


def _value(column: pa.Array[Any], logical_type: LogicalType) -> list[pa.Array[Any]]:
    """A column's values where a null is marked."""
    head, *payload = _encoded(column, logical_type, b"")
    return [head.fill_null(NULL) if column.null_count else head, *payload]


def _encoded(column: pa.Array[Any], logical_type: LogicalType, before: bytes) -> list[pa.Array[Any]]:
    """`before`, tag, length and payload of each value, null where the value is: one array, or two if lengths differ."""
    valid = pc.is_valid(column) if column.null_count else None
    tag = before + TAGS[logical_type.kind]
    if logical_type.kind in {Kind.STRING, Kind.BINARY}:
        payload: Any = column.cast(pa.large_binary())
        lengths = pc.binary_length(payload).fill_null(0).to_numpy().astype(">u4")
        return [_fixed_width(_with_head(tag, _rows_of_bytes(lengths)), valid, pa.large_binary()), payload]
    fixed = _FIXED[logical_type.kind](column)
    head = tag + fixed.shape[1].to_bytes(4, "big")
    return [_fixed_width(_with_head(head, fixed), valid, pa.large_binary())]


def _with_head(head: bytes, payload: _Bytes) -> _Bytes:
    rows = np.empty((len(payload), len(head) + payload.shape[1]), np.uint8)
    rows[:, : len(head)] = np.frombuffer(head, np.uint8)
    rows[:, len(head) :] = payload
    return rows


def _rows_of_bytes(values: npt.NDArray[Any]) -> _Bytes:
    return values.view(np.uint8).reshape(len(values), values.dtype.itemsize)


def _fixed_width(rows: _Bytes, valid: pa.BooleanArray | None, binary: pa.DataType) -> Any:
    """Rows of equal length as an Arrow binary array."""
    wide = pa.types.is_large_binary(binary)
    offsets = np.arange(len(rows) + 1, dtype=np.int64 if wide else np.int32) * rows.shape[1]
    bitmap = valid.buffers()[1] if valid is not None else None
    return pa.Array.from_buffers(
        binary, len(rows), [bitmap, pa.py_buffer(offsets.data), pa.py_buffer(rows.reshape(-1).data)]
    )


def _boolean(column: pa.Array[Any]) -> _Bytes:
    return _rows_of_bytes(column.fill_null(False).cast(pa.uint8()).to_numpy())  # noqa: FBT003


def _integer(column: pa.Array[Any]) -> _Bytes:
    width = pa.int32() if column.type.bit_width == 32 else pa.int64()
    numbers = column if pa.types.is_integer(column.type) else column.cast(width)
    return _rows_of_bytes(numbers.cast(pa.int64()).fill_null(0).to_numpy().astype(">i8"))


def _float(column: pa.Array[Any]) -> _Bytes:
    numbers = column.cast(pa.float64()).fill_null(0.0).to_numpy()
    rows = _rows_of_bytes(numbers.astype(">f8"))
    rows[np.isnan(numbers)] = np.frombuffer(CANONICAL_NAN, np.uint8)
    return rows


def _decimal(column: pa.Array[Any]) -> _Bytes:
    scaled = column.cast(pa.decimal256(76, DECIMAL_SCALE))
    return _buffer(scaled, 1).reshape(-1, DECIMAL_BYTES)[scaled.offset : scaled.offset + len(scaled)]


_FIXED: dict[Kind, Callable[[pa.Array[Any]], _Bytes]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INT16: _integer,
    Kind.INT32: _integer,
    Kind.INT64: _integer,
    Kind.DECIMAL: _decimal,
    Kind.FLOAT32: _float,
    Kind.FLOAT64: _float,
    Kind.DATE: _integer,
    Kind.TIME: _integer,
    Kind.TIMESTAMP: _integer,
    Kind.TIMESTAMPTZ: _integer,
}
