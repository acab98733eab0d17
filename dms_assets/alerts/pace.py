"""How often one is told of the same thing, and how long calm must last before it counts as over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

_DOUBLINGS = 16
"""Enough to reach any limit; more would overflow."""


def doubled(first: timedelta, times: int, limit: timedelta) -> timedelta:
    """`first`, doubled some times, and `limit` at most."""
    factor: int = 2 ** min(times, _DOUBLINGS)
    return min(first * factor, limit)


@dataclass(frozen=True, slots=True)
class Pace:
    """`again` after the first telling, twice that after the second, and so on up to `seldom`.

    A cause that comes back within `calm` never went away. Each return doubles the calm it takes, up to `long_calm`; so
    does each return within `relapse` of its recovery. What is over is remembered for `memory`, `remembered` at most.
    """

    again: timedelta = timedelta(hours=1)
    seldom: timedelta = timedelta(hours=24)
    calm: timedelta = timedelta(minutes=2)
    long_calm: timedelta = timedelta(hours=1)
    relapse: timedelta = timedelta(hours=6)
    memory: timedelta = timedelta(days=7)
    remembered: int = 500

    def until_told_again(self, tellings: int) -> timedelta:
        """How long to wait after the telling of this ordinal (from 1)."""
        return doubled(self.again, tellings - 1, self.seldom)

    def until_over(self, returns: int) -> timedelta:
        """How long a cause that came back so many times must stay away."""
        return doubled(self.calm, returns, self.long_calm)
