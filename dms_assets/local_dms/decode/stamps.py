"""Columns that are made for each change: sequence, stream position, commit time; all of fixed width."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dms_assets.local_dms.decode.cells import Int64s
from dms_assets.local_dms.decode.fixed import fixed_text
from dms_assets.model.sequence import COUNTER_DIGITS, TIME_DIGITS, time_digits

_FOUR_DIGITS = np.array([[ord(c) for c in f"{n:04d}"] for n in range(10_000)], np.uint8)
_HEX = np.frombuffer(b"0123456789ABCDEF", np.uint8)
_POSITION_DIGITS, _ORDINAL_DIGITS = 16, 10


def _decimal_digits(values: Int64s, width: int) -> npt.NDArray[np.uint8]:
    groups = -(-width // 4)
    text = np.empty((len(values), groups * 4), np.uint8)
    rest = values
    for group in range(groups - 1, -1, -1):
        rest, low = np.divmod(rest, 10_000)
        text[:, 4 * group : 4 * group + 4] = _FOUR_DIGITS[low]
    return text[:, groups * 4 - width :]


def sequences(ticks: Int64s, counters: Int64s) -> pa.Array[Any]:
    """35-digit sequences from ticks (hundredths of a second since 1970) and counters; `model.sequence`, vectorised."""
    distinct, which = np.unique(ticks, return_inverse=True)
    heads = np.array([list(time_digits(int(tick)).encode()) for tick in distinct], np.uint8).reshape(-1, TIME_DIGITS)
    return fixed_text(np.hstack([heads[which], _decimal_digits(counters, COUNTER_DIGITS)]))


def positions(commit_lsn: Int64s, ordinals: Int64s) -> pa.Array[Any]:
    """Commit LSN as 16 hexadecimal digits, a dot, and ten digits of the change's ordinal in its transaction."""
    shifts = np.arange(60, -4, -4)
    lsn = _HEX[(commit_lsn[:, None] >> shifts) & 15]
    text = np.full((len(commit_lsn), _POSITION_DIGITS + 1 + _ORDINAL_DIGITS), ord("."), np.uint8)
    text[:, :_POSITION_DIGITS] = lsn
    text[:, _POSITION_DIGITS + 1 :] = _decimal_digits(ordinals, _ORDINAL_DIGITS)
    return fixed_text(text)


def timestamps(micros: Int64s) -> pa.Array[Any]:
    """Microseconds since 1970 (UTC) as `yyyy-MM-dd HH:mm:ss.SSSSSS`, DMS's timestamp column (dms.md 1.6)."""
    return pa.array(micros, pa.timestamp("us")).cast(pa.string())
