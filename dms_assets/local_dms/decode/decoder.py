"""Which decoder a column takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from dms_assets.local_dms.column import PgType, SourceColumn, SourceOptions
from dms_assets.local_dms.decode import fixed, numeric, variable
from dms_assets.local_dms.decode.cells import Cells, Notes
from dms_assets.model.logical_type import Kind

Decoder = Callable[[Cells, Notes], "pa.Array[Any]"]
Printer = Callable[[int, list[bytes]], list[str]]
"""Asks the source to print values: (type oid, binary values) -> texts."""

_TEXT = {"text", "varchar", "name", "json", "citext", "unknown"}
_TEXT_OUTPUT = "pg_catalog.textout"
_NATIVE = _TEXT | {"bool", "int2", "int4", "int8", "oid", "float4", "float8", "numeric", "money", "date", "time"}
_NATIVE |= {"char", "timetz", "timestamp", "timestamptz", "interval", "uuid", "jsonb", "bpchar", "bytea"}


def printed_in_loads(column: SourceColumn, options: SourceOptions) -> bool:
    """Whether a load asks PostgreSQL for the column as text: no decoder, or a number that becomes text anyway."""
    return not has_decoder(column) or (column.type.name == "numeric" and column.logical(options).kind is Kind.STRING)


def has_decoder(column: SourceColumn) -> bool:
    """Whether the column's binary form is decoded here; if not, PostgreSQL prints it (array, range, inet and so on)."""
    kind = column.type
    return kind.has_binary and (
        kind.typtype == "e" or (kind.typtype == "b" and (kind.name in _NATIVE or _is_text(kind)))
    )


def _is_text(kind: PgType) -> bool:
    """Whether the binary form is the text; also of types that borrow text's functions, which do not take them."""
    return kind.typtype == "e" or kind.name in _TEXT or kind.output == _TEXT_OUTPUT


def load_decoder(column: SourceColumn, options: SourceOptions) -> Decoder:
    """The decoder for load rows, in which some columns arrive printed."""
    if printed_in_loads(column, options):
        return _limited(_text, column, options)
    return _limited(_native(column, options), column, options)


def change_decoder(column: SourceColumn, options: SourceOptions, printer: Printer) -> Decoder:
    """The decoder for changes, in which a column without a decoder arrives in binary, and is printed afterwards."""
    if has_decoder(column):
        return _limited(_native(column, options), column, options)
    if not column.type.has_binary:
        return _limited(_text, column, options)
    return _limited(partial(_printed, column.type, printer), column, options)


def _text(cells: Cells, notes: Notes) -> pa.Array[Any]:  # noqa: ARG001 - the shape of a decoder
    return variable.bytes_array(cells, text=True)


def _is_empty(kind: PgType, value: bytes) -> bool:
    """Whether this is the empty value of a type that does not take its own back: `recv` refuses what `send` gave."""
    if kind.name in {"int2vector", "oidvector"}:
        return value[:4] == bytes(4) or value[12:16] == bytes(4)
    return kind.name == "tsquery" and value[:4] == bytes(4)


def _printed(kind: PgType, printer: Printer, cells: Cells, notes: Notes) -> pa.Array[Any]:  # noqa: ARG001
    rows = np.flatnonzero(cells.valid)
    values = [cells.value(int(row)) for row in rows]
    texts = dict.fromkeys((value for value in values if _is_empty(kind, value)), "")
    distinct = [value for value in dict.fromkeys(values) if value not in texts]
    if distinct:
        texts |= zip(distinct, printer(kind.base_oid, distinct), strict=True)
    result: list[str | None] = [None] * len(cells)
    for row, value in zip(rows, values, strict=True):
        result[row] = texts[value]
    return pa.array(result, pa.string())


def _limited(decoder: Decoder, column: SourceColumn, options: SourceOptions) -> Decoder:
    limit = options.lob_limit
    if limit is None or not column.is_lob:
        return decoder

    def limited(cells: Cells, notes: Notes) -> pa.Array[Any]:
        return variable.cut_lobs(decoder(cells, notes), limit, notes)

    return limited


def _native(column: SourceColumn, options: SourceOptions) -> Decoder:
    name = column.type.name
    if _is_text(column.type):
        return _text
    simple: dict[str, Callable[[Cells], pa.Array[Any]]] = {
        "bool": lambda cells: fixed.boolean_array(cells, as_text=not options.boolean_as_boolean),
        "int2": lambda cells: fixed.integer_array(cells, pa.int16(), 2),
        "int4": lambda cells: fixed.integer_array(cells, pa.int32(), 4),
        "int8": lambda cells: fixed.integer_array(cells, pa.int64(), 8),
        "oid": lambda cells: fixed.integer_array(cells, pa.int64(), 4, unsigned=True),
        "float4": lambda cells: fixed.float_array(cells, pa.float32(), 4),
        "float8": lambda cells: fixed.float_array(cells, pa.float64(), 8),
        "money": lambda cells: fixed.money_array(cells, options.money_digits),
        "time": fixed.time_array,
        "timetz": fixed.time_array,
        "interval": variable.interval_array,
        "uuid": fixed.uuid_array,
        "jsonb": variable.json_binary_array,
        "bpchar": lambda cells: variable.char_array(cells, trim=options.trim_char),
        "char": variable.byte_char_array,
        "bytea": lambda cells: variable.bytes_array(cells, text=False),
    }
    noted: dict[str, Decoder] = {
        "date": fixed.date_array,
        "timestamp": fixed.timestamp_array,
        "timestamptz": fixed.timestamp_array,
    }
    if name in noted:
        return noted[name]
    if name == "numeric":
        return _numeric(column, options)
    decode = simple[name]
    return lambda cells, notes: decode(cells)  # noqa: ARG005 - the shape of a decoder


def _numeric(column: SourceColumn, options: SourceOptions) -> Decoder:
    logical = column.logical(options)
    if logical.kind is not Kind.DECIMAL:
        return lambda cells, notes: numeric.text_array(cells)  # noqa: ARG005
    precision, scale = logical.precision or 0, logical.scale or 0
    if column.typmod < 4:
        return lambda cells, notes: numeric.rounded_decimal_array(cells, precision, scale, notes)
    return lambda cells, notes: numeric.decimal_array(cells, precision, scale, notes)
