"""Streams and loads: the two things that give the change log its order beside the sequence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dms_assets.model.names import TableName
from dms_assets.model.sequence import LOWEST, boundary_sequence


@dataclass(frozen=True, slots=True)
class Stream:
    """One unbroken run of change capture: a task since its last fresh start (never since a resume).

    `ordinal` counts from 1 per source; `fresh_start` is DMS's `FreshStartDate`.
    """

    ordinal: int
    task_arn: str
    fresh_start: datetime


@dataclass(frozen=True, slots=True)
class Load:
    """One full load of one table; `boundary_seq` is '' for a load that began its stream.

    A change of the same stream follows the load if its sequence is at or above `boundary_seq`. The boundary is
    never later than the first read of the load: early is safe, late loses changes.
    """

    load_id: str
    table: TableName
    stream: int
    boundary_at: datetime
    boundary_seq: str
    started_at: datetime
    ended_at: datetime
    one_snapshot: bool
    rows: int
    files: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "load_id": self.load_id,
            "table": str(self.table),
            "stream": self.stream,
            "boundary_at": self.boundary_at.isoformat(),
            "boundary_seq": self.boundary_seq,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "one_snapshot": self.one_snapshot,
            "rows": self.rows,
            "files": self.files,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Load:
        """The load that `to_json` wrote."""
        times = {name: datetime.fromisoformat(data[name]) for name in ("boundary_at", "started_at", "ended_at")}
        return cls(**{**data, **times, "table": TableName.parse(data["table"])})


def load_id(stream: int, started_at: datetime) -> str:
    """The name of a table's load, the same for every worker that sees it: stream and start in microseconds."""
    return f"{stream:06d}-{started_at.astimezone(UTC):%Y%m%dT%H%M%S%f}"


def boundary(stream: Stream, started_at: datetime, *, began_stream: bool, clock_skew_s: float) -> tuple[datetime, str]:
    """Boundary time and sequence of a load that DMS says started at `started_at`.

    `clock_skew_s` is the most by which DMS's clock may run ahead of the one behind the sequence, in seconds.
    """
    if began_stream:
        return min(started_at, stream.fresh_start), LOWEST
    at = started_at - timedelta(seconds=clock_skew_s)
    return at, boundary_sequence(at)
