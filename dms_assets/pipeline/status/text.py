"""Ages and sizes as people read them, the same on the page and on the command line."""

from __future__ import annotations

from datetime import datetime

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float) -> str:
    """The length of a time in its largest whole unit: `42 s`, `3 min`, `5 h`, `2 d`."""
    whole = max(int(seconds), 0)
    for length, unit in _UNITS:
        # Twice the unit first, so that no more than half of a time is rounded away.
        if whole >= 2 * length or length == 1:
            return f"{whole // length} {unit}"
    raise AssertionError("seconds are the last unit")


def age(at: datetime | None, now: datetime) -> str:
    """How long ago an instant was, `-` for none."""
    return "-" if at is None else duration((now - at).total_seconds())


def size(count: int) -> str:
    """A number of bytes: `812 B`, `1.4 MB`."""
    if count < 1_000:
        return f"{count} B"
    scaled = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        scaled /= 1_000
        if scaled < 1_000:
            return f"{scaled:.1f} {unit}"
    return f"{scaled / 1_000:.1f} PB"
