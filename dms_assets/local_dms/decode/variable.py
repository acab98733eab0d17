"""Decoders of values of any length: text, bytes, json, intervals."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dms_assets.local_dms.decode.cells import Cells, Notes, as_buffer, validity

_INLINE = 12
_BYTE_TEXTS: Any = pa.array(
    ["", *(chr(code) if code < 0x80 else f"\\{code:03o}" for code in range(1, 256))], pa.string()
)
_VIEW = np.dtype([("length", "<i4"), ("prefix", "<u4"), ("buffer", "<i4"), ("offset", "<i4")])


def bytes_array(cells: Cells, *, text: bool) -> pa.Array[Any]:
    """The bytes of each value, as string or binary.

    An Arrow view is a length and then either the value (up to 12 bytes) or its first 4 and its place. The 16 bytes
    from 4 before a value are such a view once the length is put in; long ones then get their place. One cast in C++
    copies the values together.
    """
    valid, start = cells.valid, cells.safe_start
    views = cells.slab.raw16[start - 4].view(_VIEW)
    views["length"] = np.where(valid, cells.length, 0)
    long = np.flatnonzero(cells.length > _INLINE)
    views["buffer"][long] = 0
    views["offset"][long] = start[long]
    kind = pa.string_view() if text else pa.binary_view()
    array = pa.Array.from_buffers(kind, len(cells), [validity(valid), as_buffer(views), cells.slab.arrow])
    return array.cast(pa.string() if text else pa.binary())


def json_binary_array(cells: Cells) -> pa.Array[Any]:
    """jsonb: a version byte (1), then the text."""
    shift = np.where(cells.valid, 1, 0)
    shorter = (cells.length - shift).astype(np.int32)
    return bytes_array(Cells(cells.slab, cells.start + shift, shorter), text=True)


def char_array(cells: Cells, *, trim: bool) -> pa.Array[Any]:
    """char(n): padded with blanks, which DMS cuts off by default (TrimSpaceInChar)."""
    array: Any = bytes_array(cells, text=True)
    trimmed: pa.Array[Any] = pc.utf8_rtrim(array, " ") if trim else array
    return trimmed


def byte_char_array(cells: Cells) -> pa.Array[Any]:
    """`"char"`, one byte of any value: beyond ASCII it is no text, and PostgreSQL prints it as `\\ooo`."""
    codes = cells.slab.u1[cells.safe_start]
    places: Any = pa.array(codes, pa.uint8(), mask=~cells.valid)
    array: pa.Array[Any] = _BYTE_TEXTS.take(places)
    return array


def cut_lobs(array: pa.Array[Any], limit: int, notes: Notes) -> pa.Array[Any]:
    """Values longer than `limit` bytes are cut there (text at a whole character) and counted."""
    some: Any = array
    lengths: Any = pc.binary_length(some)
    count = int((lengths.fill_null(0).to_numpy() > limit).sum())
    if not count:
        return array
    notes.add("truncated LOB", count)
    values: list[Any] = array.to_pylist()
    if pa.types.is_binary(array.type):
        return pa.array([None if v is None else v[:limit] for v in values], array.type)
    cut = [None if v is None else v.encode()[:limit].decode(errors="ignore") for v in values]
    result: pa.Array[Any] = pa.array(cut, array.type)
    return result


def interval_text(micros: int, days: int, months: int) -> str:
    """An interval as DMS writes it: `1 YEAR, 2 MONTHS, 3 DAYS, 4 HOURS, 5 MINUTES, 6 SECONDS`.

    Parts that are zero are left out, an empty interval is `0 SECONDS`; every part carries its own sign.
    """

    def parts(amount: int, *sizes: int) -> list[int]:
        sign, rest, result = (-1 if amount < 0 else 1), abs(amount), []
        for size in sizes:
            whole, rest = divmod(rest, size)
            result.append(sign * whole)
        return [*result, sign * rest]

    years, left_months = parts(months, 12)
    hours, minutes, second_micros = parts(micros, 3_600_000_000, 60_000_000)
    named = [(years, "YEAR"), (left_months, "MONTH"), (days, "DAY"), (hours, "HOUR"), (minutes, "MINUTE")]
    texts = [f"{n} {name}{'' if abs(n) == 1 else 'S'}" for n, name in named if n]
    if second_micros or not texts:
        whole, fraction = divmod(abs(second_micros), 1_000_000)
        sign = "-" if second_micros < 0 else ""
        digits = f".{fraction:06d}".rstrip("0") if fraction else ""
        texts.append(f"{sign}{whole}{digits} SECOND{'' if (whole, fraction) == (1, 0) else 'S'}")
    return ", ".join(texts)


def interval_array(cells: Cells) -> pa.Array[Any]:
    """interval: microseconds, days, months; `infinity` and `-infinity` keep their names."""
    texts: list[str | None] = []
    for row in range(len(cells)):
        if cells.length[row] < 0:
            texts.append(None)
            continue
        micros, days, months = struct.unpack(">qii", cells.value(row))
        if (micros, days, months) == (2**63 - 1, 2**31 - 1, 2**31 - 1):
            texts.append("infinity")
        elif (micros, days, months) == (-(2**63), -(2**31), -(2**31)):
            texts.append("-infinity")
        else:
            texts.append(interval_text(micros, days, months))
    return pa.array(texts, pa.string())
