"""Causes and digests for the tests of alerts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dms_assets.alerts.cause import Cause, Kind, Severity
from dms_assets.alerts.digest import Digest

NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)


def cause(
    subject: str = "a",
    severity: Severity = Severity.ERROR,
    kind: Kind = Kind.CHECK,
    patience: timedelta = timedelta(0),
) -> Cause:
    return Cause(kind, "src", subject, severity, "team:x", f"{subject} is wrong", "put it right", "/x", patience)


@dataclass
class ListSink:
    """Keeps what it gets; fails as long as `broken` is set."""

    name: str = "list"
    broken: bool = False
    digests: list[Digest] = field(default_factory=list)

    def send(self, digest: Digest) -> None:
        if self.broken:
            raise ConnectionError("no route")
        self.digests.append(digest)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(item.news.value, item.episode.cause.subject) for digest in self.digests for item in digest.items]
