"""The change sequence: 35 digits that order the changes of one stream.

DMS: `$AR_H_CHANGE_SEQ` is 16 digits of time (YYYYMMDDHHmmSS and hundredths) and a 19-digit counter; it rises
within a task, compares as text, and is the empty string in full-load rows (dms.md 3.3).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

TIME_DIGITS = 16
COUNTER_DIGITS = 19
LENGTH = TIME_DIGITS + COUNTER_DIGITS
LOWEST = ""
"""Sorts before every sequence: the boundary of a load that began its stream."""

PATTERN = re.compile(r"\d{35}")


def hundredths(at: datetime) -> int:
    """Whole hundredths of a second since 1970 of an aware time, rounded down."""
    delta = at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 100 + delta.microseconds // 10_000


def time_digits(ticks: int) -> str:
    """The 16 time digits for `ticks` hundredths of a second since 1970 (UTC)."""
    seconds, hundredth = divmod(ticks, 100)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S") + f"{hundredth:02d}"


def format_sequence(ticks: int, counter: int) -> str:
    """A sequence from its time (hundredths since 1970) and counter. Raises ValueError if the counter is too large."""
    if not 0 <= counter < 10**COUNTER_DIGITS:
        raise ValueError(f"change counter {counter} does not fit {COUNTER_DIGITS} digits")
    return f"{time_digits(ticks)}{counter:0{COUNTER_DIGITS}d}"


def boundary_sequence(at: datetime) -> str:
    """The smallest sequence at or after a time, rounded down to hundredths: the boundary of a reload."""
    return format_sequence(hundredths(at), 0)
