"""Decoders of fixed-width values: integers, floats, booleans, dates, times, uuid.

Rules for what Parquet cannot hold (dms.md 2.2): infinity is 9999-12-31 23:59:59, minus infinity is 4713-01-01 BC,
and so are timestamps beyond 64-bit microseconds since 1970 (PostgreSQL reaches 294276 AD, they reach 294247).
Times keep milliseconds; 24:00:00 is the last millisecond of the day, since it has no place in TIME_MILLIS.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dms_assets.local_dms.decode.cells import Cells, Notes, as_buffer, primitive, validity

_DAYS_1970_TO_2000 = 10_957
_MICROS_1970_TO_2000 = _DAYS_1970_TO_2000 * 86_400_000_000
_LAST_DAY = 2_932_896
_FIRST_DAY = -2_440_550
_LAST_MICROS = _LAST_DAY * 86_400_000_000 + 86_399_000_000
_FIRST_MICROS = _FIRST_DAY * 86_400_000_000
_MILLIS_PER_DAY = 86_400_000
_I4, _I8 = np.iinfo(np.int32), np.iinfo(np.int64)

_HEX = np.frombuffer(b"".join(f"{byte:02x}".encode() for byte in range(256)), np.uint16)
_UUID_GROUPS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))


def integers(cells: Cells, width: int, *, unsigned: bool = False) -> npt.NDArray[Any]:
    """Values of `width` bytes as native integers; 0 where there is none."""
    slab = cells.slab
    view = {2: slab.i2, 4: slab.u4 if unsigned else slab.i4, 8: slab.i8}[width]
    values = view[cells.safe_start]
    return values.astype(values.dtype.newbyteorder("="))


def integer_array(cells: Cells, kind: pa.DataType, width: int, *, unsigned: bool = False) -> pa.Array[Any]:
    """smallint, integer, bigint, oid."""
    values = integers(cells, width, unsigned=unsigned)
    return primitive(kind, values.astype(np.int64) if unsigned else values, cells.valid)


def float_array(cells: Cells, kind: pa.DataType, width: int) -> pa.Array[Any]:
    """real and double, bit by bit (NaN payloads too)."""
    return primitive(kind, integers(cells, width), cells.valid)


def boolean_array(cells: Cells, *, as_text: bool) -> pa.Array[Any]:
    """boolean; as the text `true` or `false` when the endpoint does not map it."""
    values = cells.slab.u1[cells.safe_start] != 0
    bits = as_buffer(np.packbits(values, bitorder="little"))
    array = pa.Array.from_buffers(pa.bool_(), len(values), [validity(cells.valid), bits])
    return array.cast(pa.string()) if as_text else array


def date_array(cells: Cells, notes: Notes) -> pa.Array[Any]:
    """date: days since 2000-01-01."""
    days = integers(cells, 4).astype(np.int64)
    late, early = days == _I4.max, days == _I4.min
    values = np.where(late, _LAST_DAY, np.where(early, _FIRST_DAY, days + _DAYS_1970_TO_2000))
    notes.add("infinite date", int((late | early).sum()))
    return primitive(pa.date32(), values.astype(np.int32), cells.valid)


def timestamp_array(cells: Cells, notes: Notes) -> pa.Array[Any]:
    """timestamp and timestamptz: microseconds since 2000-01-01; both are written as UTC, as DMS does."""
    micros = integers(cells, 8)
    late = micros > _I8.max - _MICROS_1970_TO_2000
    early = micros == _I8.min
    shifted = np.where(late | early, 0, micros) + _MICROS_1970_TO_2000
    values = np.where(late, _LAST_MICROS, np.where(early, _FIRST_MICROS, shifted))
    notes.add("infinite or out of range timestamp", int((late | early).sum()))
    return primitive(pa.timestamp("us", tz="UTC"), values, cells.valid)


def time_array(cells: Cells) -> pa.Array[Any]:
    """time and timetz (its zone is lost, as DMS has it): microseconds of the day, cut to milliseconds."""
    millis = np.minimum(integers(cells, 8) // 1000, _MILLIS_PER_DAY - 1)
    return primitive(pa.time32("ms"), millis.astype(np.int32), cells.valid)


def money_array(cells: Cells, fraction_digits: int) -> pa.Array[Any]:
    """money as decimal(38,4): a 64-bit count of the currency's smallest unit."""
    units = primitive(pa.int64(), integers(cells, 8), cells.valid).cast(pa.decimal128(19, 0))
    # The same integers, read with the scale of the currency.
    scaled = pa.Array.from_buffers(pa.decimal128(19, fraction_digits), len(units), units.buffers())
    return scaled.cast(pa.decimal128(38, 4))


def uuid_array(cells: Cells) -> pa.Array[Any]:
    """uuid as lower-case text with dashes."""
    valid = cells.valid
    octets = cells.slab.raw16[cells.start[valid]].view(np.uint8).reshape(-1, 16)
    digits = _HEX[octets].view(np.uint8)
    text = np.full((len(octets), 36), ord("-"), np.uint8)
    for dashes, (first, last) in enumerate(_UUID_GROUPS):
        text[:, first + dashes : last + dashes] = digits[:, first:last]
    return fixed_text(text, valid)


def fixed_text(text: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_] | None = None) -> pa.Array[Any]:
    """Strings of one width: a row of `text` for each row, or for each valid row, in order."""
    width = text.shape[1]
    if valid is None or bool(valid.all()):
        offsets = np.arange(0, (len(text) + 1) * width, width, dtype=np.int32)
        buffers = [None, as_buffer(offsets), as_buffer(text)]
        return pa.Array.from_buffers(pa.string(), len(text), buffers)
    offsets = np.zeros(len(valid) + 1, np.int32)
    np.cumsum(valid * width, out=offsets[1:])
    buffers = [validity(valid), as_buffer(offsets), as_buffer(text)]
    return pa.Array.from_buffers(pa.string(), len(valid), buffers)
