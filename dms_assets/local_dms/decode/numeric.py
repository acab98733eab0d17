"""Decoders of numeric: digits in base 10,000 to exact decimals, or to exact text.

The wire form is count, weight of the first digit, sign, display scale (16 bits each), then the digits. NaN and the
infinities have no place in a decimal: they become null, counted; as text they keep PostgreSQL's names.
"""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dms_assets.local_dms.decode.cells import Cells, Notes, as_buffer, validity

_NEGATIVE, _NAN, _INFINITY, _MINUS_INFINITY = 0x4000, 0xC000, 0xD000, 0xF000
_NAMES = {_NAN: "NaN", _INFINITY: "Infinity", _MINUS_INFINITY: "-Infinity"}
_INT64_DIGITS, _MAX_DIGITS = 18, 38
_LIMB = np.uint64(0xFFFFFFFF)
_EXACT = decimal.Context(prec=200_000, rounding=decimal.ROUND_HALF_UP, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Numbers:
    cells: Cells
    start: npt.NDArray[np.int64]
    count: npt.NDArray[Any]
    weight: npt.NDArray[Any]
    sign: npt.NDArray[Any]
    scale: npt.NDArray[Any]

    @classmethod
    def read(cls, cells: Cells) -> _Numbers:
        start, words, valid = cells.safe_start, cells.slab.i2, cells.valid
        header = [np.where(valid, words[start + at], 0).astype(np.int64) for at in (0, 2, 4, 6)]
        return cls(cells, start, header[0], header[1], header[2] & 0xFFFF, header[3])

    def take(self, rows: npt.NDArray[Any]) -> _Numbers:
        return _Numbers(
            self.cells.take(rows),
            self.start[rows],
            self.count[rows],
            self.weight[rows],
            self.sign[rows],
            self.scale[rows],
        )

    @property
    def finite(self) -> Bools:
        finite: Bools = (self.sign == 0) | (self.sign == _NEGATIVE)
        return finite

    def digits(self, weight: int) -> npt.NDArray[np.int64]:
        """The base-10,000 digit with this weight, of every row."""
        index = self.weight - weight
        there = (index >= 0) & (index < self.count)
        words = self.cells.slab.i2[np.where(there, self.start + 8 + 2 * index, 0)]
        return np.where(there, words, 0).astype(np.int64)


def _steps(highest: int, scale: int) -> list[tuple[int, int, int]]:
    """(weight, factor before adding, divisor of the digit) from the highest weight down to the last decimal place."""
    steps = [(weight, 10_000, 1) for weight in range(highest, -1, -1)]
    whole, rest = divmod(scale, 4)
    steps += [(-1 - place, 10_000, 1) for place in range(whole)]
    if rest:
        steps.append((-1 - whole, 10**rest, 10 ** (4 - rest)))
    return steps


def _unscaled_buffer(numbers: _Numbers, highest: int, scale: int, digits: int) -> pa.Buffer:
    """128-bit little-endian integers: the values times 10**scale. `digits` bounds how many decimal digits they have."""
    rows = len(numbers.start)
    negative = numbers.sign == _NEGATIVE
    if digits <= _INT64_DIGITS:
        total = np.zeros(rows, np.int64)
        for weight, factor, divisor in _steps(highest, scale):
            digit = numbers.digits(weight)
            total = total * factor + (digit if divisor == 1 else digit // divisor)
        total = np.where(negative, -total, total)
        return as_buffer(np.stack([total, total >> 63], axis=1))
    limbs = [np.zeros(rows, np.uint64) for _ in range(4)]
    for weight, factor, divisor in _steps(highest, scale):
        carry = (numbers.digits(weight) // divisor).astype(np.uint64)
        for place in range(4):
            product = limbs[place] * np.uint64(factor) + carry
            limbs[place], carry = product & _LIMB, product >> np.uint64(32)
    carry = negative.astype(np.uint64)
    for place in range(4):
        flipped = np.where(negative, limbs[place] ^ _LIMB, limbs[place]) + carry
        limbs[place], carry = flipped & _LIMB, flipped >> np.uint64(32)
    return as_buffer(np.stack(limbs, axis=1).astype(np.uint32))


def _decimals(numbers: _Numbers, valid: Bools, precision: int, scale: int, digits: int) -> pa.Array[Any]:
    highest = max(int(numbers.weight[valid].max(initial=0)), 0)
    kind = pa.decimal128(precision, scale)
    buffer = _unscaled_buffer(numbers, highest, scale, digits)
    return pa.Array.from_buffers(kind, len(valid), [validity(valid), buffer])


def decimal_array(cells: Cells, precision: int, scale: int, notes: Notes) -> pa.Array[Any]:
    """numeric(p,s), which the source keeps to s places and p digits: exact."""
    numbers = _Numbers.read(cells)
    valid = cells.valid & numbers.finite
    notes.add("NaN or infinite number as null", int((cells.valid & ~numbers.finite).sum()))
    return _decimals(numbers, valid, precision, scale, precision)


def rounded_decimal_array(cells: Cells, precision: int, scale: int, notes: Notes) -> pa.Array[Any]:
    """numeric of no declared size into a decimal, as DMS does by default: rounded half up, null if it is too large."""
    numbers = _Numbers.read(cells)
    valid = cells.valid & numbers.finite
    notes.add("NaN or infinite number as null", int((cells.valid & ~numbers.finite).sum()))
    highest = max(int(numbers.weight[valid].max(initial=0)), 0)
    if 4 * (highest + 1) + scale <= precision and int(numbers.scale[valid].max(initial=0)) <= scale:
        return _decimals(numbers, valid, precision, scale, precision)
    unit, limit = decimal.Decimal(1).scaleb(-scale), decimal.Decimal(10) ** (precision - scale)
    values: list[decimal.Decimal | None] = []
    for row in range(len(cells)):
        value = decimal.Decimal(numeric_text(cells.value(row))) if valid[row] else None
        rounded = None if value is None else value.quantize(unit, context=_EXACT)
        if rounded is not None and rounded != value:
            notes.add("rounded number", 1)
        if rounded is not None and abs(rounded) >= limit:
            notes.add("number too large as null", 1)
            rounded = None
        values.append(rounded)
    return pa.array(values, pa.decimal128(precision, scale))


def numeric_text(value: bytes) -> str:
    """The text PostgreSQL prints for a numeric: all its digits, with as many places as its display scale."""
    words = np.frombuffer(value, ">i2")
    count, weight, sign, scale = int(words[0]), int(words[1]), int(words[2]) & 0xFFFF, int(words[3])
    if sign in _NAMES:
        return _NAMES[sign]
    groups = {weight - place: int(words[4 + place]) for place in range(count)}
    whole = "".join(f"{groups.get(w, 0):04d}" for w in range(weight, -1, -1)).lstrip("0") or "0"
    places = -(-scale // 4)
    fraction = "".join(f"{groups.get(-1 - place, 0):04d}" for place in range(places))[:scale]
    text = f"{whole}.{fraction}" if scale else whole
    return f"-{text}" if sign == _NEGATIVE else text


def text_array(cells: Cells) -> pa.Array[Any]:
    """numeric as exact text: rows of one display scale at a time through decimals, the rest one by one."""
    numbers = _Numbers.read(cells)
    valid = cells.valid
    # 38 digits fit a decimal; Arrow writes numbers below 10**-6 with an exponent, found below by its letter.
    fits = valid & numbers.finite & (4 * (np.maximum(numbers.weight, 0) + 1) + numbers.scale <= _MAX_DIGITS)
    pieces: list[pa.Array[Any]] = []
    order: list[npt.NDArray[np.int64]] = []
    for scale in np.unique(numbers.scale[fits]):
        rows = np.flatnonzero(fits & (numbers.scale == scale))
        group = numbers.take(rows)
        digits = 4 * (max(int(group.weight.max(initial=0)), 0) + 1) + int(scale)
        pieces.append(_decimals(group, np.ones(len(rows), bool), 38, int(scale), digits).cast(pa.string()))
        order.append(rows)
    others = np.flatnonzero(~fits)
    slow = [numeric_text(cells.value(int(row))) if valid[row] else None for row in others]
    pieces.append(pa.array(slow, pa.string()))
    order.append(others)
    inverse = np.empty(len(cells), np.int64)
    inverse[np.concatenate(order)] = np.arange(len(cells))
    array: Any = pa.concat_arrays(pieces).take(inverse)
    short: Any = pc.find_substring(array, "E").fill_null(-1)
    wrong = np.flatnonzero(short.to_numpy() >= 0)
    values = array.to_pylist() if len(wrong) else []
    for row in wrong:
        values[row] = numeric_text(cells.value(int(row)))
    result: pa.Array[Any] = pa.array(values, pa.string()) if len(wrong) else array
    return result
