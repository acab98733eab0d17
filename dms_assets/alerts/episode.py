"""One cause from when it was seen first until its recovery is told: the rules of what is told when. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from dms_assets.alerts.cause import Cause, Seen, Severity
from dms_assets.alerts.pace import Pace


class News(StrEnum):
    """Why an episode is told."""

    NEW = "new"
    WORSE = "worse"
    STILL = "still"
    OVER = "over"
    PAST = "past"
    """It began and ended unseen, for example while the platform was down: told once, as new and over."""


@dataclass(frozen=True, slots=True)
class Episode:
    """`count` occurrences between `first_seen` and `last_seen`, back after a short calm `returns` times.

    `over_at` is when it went away, None while it is there; `ended_at` when that was told (or, of what was never told,
    found), None before. `told_severity` is the worst one told. `relapses` counts returns of the episodes just before.
    """

    cause: Cause
    first_seen: datetime
    last_seen: datetime
    count: int
    awaits: frozenset[str] = frozenset()
    returns: int = 0
    relapses: int = 0
    over_at: datetime | None = None
    ended_at: datetime | None = None
    told_at: datetime | None = None
    tellings: int = 0
    told_severity: Severity | None = None

    @property
    def open(self) -> bool:
        """Whether the cause is there."""
        return self.over_at is None

    def shows(self, now: datetime) -> bool:
        """Whether people are to know of it: it is there, and has lasted its patience."""
        return self.open and (self.tellings > 0 or now - self.first_seen >= self.cause.patience)

    def seen(self, sight: Seen, pace: Pace) -> Episode:
        """The episode, or the next one, after its cause was seen."""
        if self.ended_at is not None:
            again = sight.at - self.ended_at < pace.relapse
            return begin(sight, self.relapses + self.returns + 1 if again and self.tellings else 0)
        return replace(
            self,
            cause=sight.cause,
            last_seen=max(self.last_seen, sight.at),
            count=self.count + (sight.times if self.open else max(sight.times, 1)),
            awaits=self.awaits | sight.awaits,
            returns=self.returns + (0 if self.open else 1),
            over_at=None,
        )

    def over(self, at: datetime) -> Episode:
        """The episode after its cause was found to be away."""
        return replace(self, over_at=max(at, self.first_seen), awaits=frozenset()) if self.open else self

    def done(self, things: frozenset[str], at: datetime) -> Episode:
        """The episode after things were done that it may await."""
        if not self.open or not self.awaits & things:
            return self
        left = self.awaits - things
        return replace(self, awaits=left) if left else self.over(at)

    def due(self, now: datetime, pace: Pace) -> News | None:
        """What is to be told of it now, if anything."""
        if self.ended_at is not None:
            return None
        if self.over_at is not None:
            if now - self.over_at < pace.until_over(self.returns + self.relapses):
                return None
            return News.OVER if self.tellings else News.PAST
        if self.told_at is None or self.told_severity is None:
            return News.NEW if self.shows(now) else None
        if self.cause.severity > self.told_severity:
            return News.WORSE
        return News.STILL if now - self.told_at >= pace.until_told_again(self.tellings) else None

    def hushed(self) -> bool:
        """Whether it went away before it lasted its patience: then it is not told at all."""
        return self.over_at is not None and not self.tellings and self.over_at - self.first_seen < self.cause.patience

    def told(self, news: News, now: datetime) -> Episode:
        """The episode after it was told."""
        worst = max(self.told_severity or self.cause.severity, self.cause.severity)
        ended = now if news in {News.OVER, News.PAST} else None
        return replace(self, told_at=now, tellings=self.tellings + 1, told_severity=worst, ended_at=ended)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        times = {name: time.isoformat() if time else None for name, time in self._times().items()}
        return {
            "cause": self.cause.to_json(),
            "count": self.count,
            "awaits": sorted(self.awaits),
            "returns": self.returns,
            "relapses": self.relapses,
            "tellings": self.tellings,
            "told_severity": self.told_severity.name.lower() if self.told_severity else None,
            **times,
        }

    def _times(self) -> dict[str, datetime | None]:
        return {
            "first_seen": self.first_seen,
            "last_seen": self.last_seen,
            "over_at": self.over_at,
            "ended_at": self.ended_at,
            "told_at": self.told_at,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Episode:
        """The episode that `to_json` wrote."""
        names = ("first_seen", "last_seen", "over_at", "ended_at", "told_at")
        times = {name: datetime.fromisoformat(data[name]) if data[name] else None for name in names}
        severity = data["told_severity"]
        read = {
            "cause": Cause.from_json(data["cause"]),
            "awaits": frozenset(data["awaits"]),
            "told_severity": Severity[severity.upper()] if severity else None,
        }
        return cls(**{**data, **times, **read})


def begin(sight: Seen, relapses: int = 0) -> Episode:
    """The first sight of a cause."""
    return Episode(sight.cause, sight.at, sight.at, max(sight.times, 1), sight.awaits, relapses=relapses)
