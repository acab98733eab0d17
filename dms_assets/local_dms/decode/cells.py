"""Bytes of many rows, and where one column's values lie in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

NULL = -1
UNCHANGED = -2
"""Length of a large value that the change did not touch and the log does not hold (unchanged TOAST)."""

_BEFORE, _AFTER = 4, 16
"""Zero bytes around a slab, so that 16 bytes may be read from 4 before any value."""

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]


class DecodeError(ValueError):
    """Bytes from the source are not what its protocol promises; names the place."""


def as_buffer(values: npt.NDArray[Any]) -> pa.Buffer:
    """The memory of a numpy array as an Arrow buffer, without a copy if it is contiguous."""
    return pa.py_buffer(cast("Any", np.ascontiguousarray(values)))


class Slab:
    """A run of bytes, padded so that any value may be read 16 bytes wide, with unaligned views over it."""

    def __init__(self, data: Bytes) -> None:
        self.data: Bytes = np.zeros(_BEFORE + len(data) + _AFTER, np.uint8)
        self.data[_BEFORE : _BEFORE + len(data)] = data

    def _view(self, dtype: str) -> npt.NDArray[Any]:
        width = np.dtype(dtype).itemsize
        return np.ndarray((len(self.data) - width + 1,), dtype, self.data.data, strides=(1,))

    @cached_property
    def u1(self) -> Bytes:
        """Single bytes."""
        return self.data

    @cached_property
    def i2(self) -> npt.NDArray[Any]:
        """Signed 16-bit integers in network order, at any byte."""
        return self._view(">i2")

    @cached_property
    def i4(self) -> npt.NDArray[Any]:
        """Signed 32-bit integers in network order, at any byte."""
        return self._view(">i4")

    @cached_property
    def u4(self) -> npt.NDArray[Any]:
        """Unsigned 32-bit integers in network order, at any byte."""
        return self._view(">u4")

    @cached_property
    def i8(self) -> npt.NDArray[Any]:
        """Signed 64-bit integers in network order, at any byte."""
        return self._view(">i8")

    @cached_property
    def raw16(self) -> npt.NDArray[Any]:
        """Sixteen bytes as they lie in memory."""
        return self._view("V16")

    @cached_property
    def arrow(self) -> pa.Buffer:
        """The padded bytes as an Arrow buffer, without a copy."""
        return as_buffer(self.data)


@dataclass(frozen=True, slots=True)
class Cells:
    """One column's values: where each starts in the slab and how long it is (NULL and UNCHANGED have no bytes)."""

    slab: Slab
    start: Int64s
    length: Int32s

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Which rows have a value."""
        return self.length >= 0

    @property
    def safe_start(self) -> Int64s:
        """Starts that may be read for every row (the slab's first byte where there is no value)."""
        return np.where(self.length >= 0, self.start, _BEFORE)

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: npt.NDArray[Any]) -> Cells:
        """The same column for some rows."""
        return Cells(self.slab, self.start[rows], self.length[rows])

    def value(self, row: int) -> bytes:
        """The bytes of one value."""
        start = int(self.start[row])
        return self.slab.data[start : start + int(self.length[row])].tobytes()


@dataclass(slots=True)
class Notes:
    """What was changed on the way because the target cannot hold it, counted by rule."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, rule: str, count: int) -> None:
        """Count `count` values under a rule."""
        if count:
            self.counts[rule] += count


def slab_of(values: pa.Array[Any]) -> tuple[Slab, Int64s]:
    """The bytes of an Arrow binary array and the offsets of its values in them (one more than there are values)."""
    _, offsets, data = values.buffers()
    width = np.dtype(np.int64 if pa.types.is_large_binary(values.type) else np.int32)
    at = np.frombuffer(cast("Any", offsets), width)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    first, last = int(at[0]), int(at[-1])
    body = np.frombuffer(cast("Any", data), np.uint8)[first:last] if data is not None else np.zeros(0, np.uint8)
    return Slab(body), at - first + _BEFORE


def validity(valid: npt.NDArray[np.bool_]) -> pa.Buffer | None:
    """Arrow's validity bitmap, None if every row has a value."""
    return None if bool(valid.all()) else as_buffer(np.packbits(valid, bitorder="little"))


def primitive(kind: pa.DataType, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> pa.Array[Any]:
    """An Arrow array of a fixed-width type over numpy values."""
    return pa.Array.from_buffers(kind, len(values), [validity(valid), as_buffer(values)])
