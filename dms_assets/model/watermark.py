"""The watermark: the instant up to which every commit of a source is known to be in landing.

At an instant T of the source's clock its log ends at some position. What committed by then lies before that position,
and once the task's replication slot confirms it, is in landing: the slot is confirmed for what need not be sent again.
A note is such a pair of instant and position; it is reached when it is confirmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

COMMIT_TO_VISIBLE = timedelta(seconds=5)
"""The longest time allowed between a commit's timestamp and its place in the log, and its visibility to others.

PostgreSQL takes the timestamp first, then writes the log, flushes it, and only then shows the rows: some milliseconds,
unless the disk stalls.
"""
KEPT = 240
"""So many notes and watermarks are kept; beyond it every other of the older ones goes."""
_NEWEST = 60
_Kept = TypeVar("_Kept")


@dataclass(frozen=True, slots=True)
class Watermark:
    """Every commit of the source with a commit time up to `instant` is in landing files written by `landed_by`.

    `instant` is by the source's clock, `landed_by` by the platform's, with the known skew of landing's in it; both UTC.
    """

    instant: datetime
    landed_by: datetime


@dataclass(frozen=True, slots=True)
class Note:
    """At `at` of the source's clock its log ended at `position` (bytes from its beginning)."""

    at: datetime
    position: int


@dataclass(frozen=True, slots=True)
class LogReading:
    """What one look at a source says: where its log ends, and how far the task's slot is confirmed."""

    note: Note
    slot: str
    confirmed: int


@dataclass(frozen=True, slots=True)
class WatermarkState:
    """What is known of one stream: notes not yet reached, and watermarks, both by time.

    Older watermarks are kept because work that is still pending may be newer than they are, and older than the last.
    """

    stream: int
    slot: str
    notes: tuple[Note, ...] = ()
    reached: tuple[Watermark, ...] = ()

    def advanced(self, stream: int, reading: LogReading, *, landed_by: datetime) -> WatermarkState:
        """The state after a reading; `landed_by` is when, at the latest, what it says is confirmed was landed.

        Another stream or slot, or a log that ends before a noted position (a restored source), begins anew.
        """
        if (stream, reading.slot) != (self.stream, self.slot) or self._beyond(reading.note.position):
            return WatermarkState(stream, reading.slot).advanced(stream, reading, landed_by=landed_by)
        notes = (*self.notes, reading.note)
        confirmed = [note for note in notes if note.position <= reading.confirmed]
        waiting = tuple(note for note in notes if note.position > reading.confirmed)
        state = replace(self, notes=_thinned(waiting))
        if not confirmed:
            return state
        instant = max(note.at for note in confirmed) - COMMIT_TO_VISIBLE
        if self.reached and instant <= self.reached[-1].instant:
            return state
        return replace(state, reached=_thinned((*self.reached, Watermark(instant, landed_by))))

    def _beyond(self, position: int) -> bool:
        return any(note.position > position for note in self.notes)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "stream": self.stream,
            "slot": self.slot,
            "notes": [[note.at.isoformat(), note.position] for note in self.notes],
            "reached": [[mark.instant.isoformat(), mark.landed_by.isoformat()] for mark in self.reached],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WatermarkState:
        """The state that `to_json` wrote."""
        notes = tuple(Note(datetime.fromisoformat(at), position) for at, position in data["notes"])
        reached = tuple(
            Watermark(datetime.fromisoformat(instant), datetime.fromisoformat(landed_by))
            for instant, landed_by in data["reached"]
        )
        return cls(data["stream"], data["slot"], notes, reached)


def _thinned(items: Sequence[_Kept]) -> tuple[_Kept, ...]:
    """The newest as they are; of the older ones every other, once there are too many."""
    if len(items) <= KEPT:
        return tuple(items)
    return (*items[:-_NEWEST:2], *items[-_NEWEST:])


class SlotUnknownError(LookupError):
    """It cannot be told which replication slot of the source is the task's."""


def choose_slot(slots: Sequence[str], task_arn: str, declared: str | None) -> str:
    """The slot of a task among the logical slots of its database.

    The declared one; else the one named after the task's resource id, as Local DMS and AWS DMS name theirs (the
    latter use its first characters); else the only one. Raises SlotUnknownError.
    """
    if declared is not None:
        if declared in slots:
            return declared
        raise SlotUnknownError(
            f"slot '{declared}' is not in the source; correct `slot_name` in defs.yaml, or start the task"
        )
    resource = "".join(c if c.isalnum() else "_" for c in task_arn.rsplit(":", 1)[-1].lower())[:16]
    named = [slot for slot in slots if resource in slot]
    found = named or list(slots)
    if len(found) == 1:
        return found[0]
    told = ", ".join(sorted(found)) or "none"
    raise SlotUnknownError(
        f"the source has {len(found)} logical slots that may be the task's ({told}); "
        "start the task if it has none, or set `slot_name` below `dms` in defs.yaml"
    )
