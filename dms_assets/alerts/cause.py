"""What can be wrong, and how it is named: one cause is told once, however many events speak of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

PLATFORM = "platform"
"""The source of causes that are of no source."""
PLATFORM_OWNER = "team:data-engineering"


class Severity(IntEnum):
    """How bad it is: what works but wants a look, what does not work, what stops a whole source."""

    WARNING = 1
    ERROR = 2
    CRITICAL = 3


class Kind(StrEnum):
    """What sort of thing is wrong."""

    RUN = "run"
    CHECK = "check"
    TASK = "task"
    TABLE = "table"
    LAG = "lag"
    STALE = "stale"
    SILENCE = "silence"
    QUARANTINE = "quarantine"
    SINK = "sink"
    ALERTS = "alerts"


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong. `kind`, `source` and `subject` name it; all else may change while it lasts.

    Holds names, counts and hashes, never values of rows nor messages that may quote them. `link` is a path below the
    web UI's root. What is over before it lasted `patience` is never told.
    """

    kind: Kind
    source: str
    subject: str
    severity: Severity
    owner: str
    summary: str
    remedy: str
    link: str
    patience: timedelta = timedelta(0)

    @property
    def id(self) -> str:
        """The same for the same cause, over restarts and releases."""
        return f"{self.kind.value}:{self.source}:{self.subject}"

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            **asdict(self),
            "kind": self.kind.value,
            "severity": self.severity.name.lower(),
            "patience": self.patience.total_seconds(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Cause:
        """The cause that `to_json` wrote."""
        read = {
            "kind": Kind(data["kind"]),
            "severity": Severity[data["severity"].upper()],
            "patience": timedelta(seconds=data["patience"]),
        }
        return cls(**{**data, **read})


@dataclass(frozen=True, slots=True)
class Seen:
    """The cause was there at `at`. `times` counts occurrences: 0 for a look that found it as it was.

    It is over when an `Over` names it or, if it `awaits` something, when everything it awaits is done.
    """

    cause: Cause
    at: datetime
    times: int = 1
    awaits: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Over:
    """The cause of this id was not there any more at `at`."""

    cause_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """Things that causes may await were done at `at`."""

    things: frozenset[str]
    at: datetime


Sight = Seen | Over | Done
