"""Every way in which a stream can be broken: its name, what to do, and what is lost.

A gap ends the task (`failed`), and no resume gets past it: the log between two positions cannot be read any more, so
that going on would leave changes out without a word. Only a new stream, with a load of all tables, makes up for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dms_assets.local_dms.faults import TaskError

_RELOAD = "start the task with reload-target, which loads all tables again as a new stream"


class Gap(Enum):
    """A broken stream, by cause; the value is its name in messages.

    `lasting` ones are remembered: that the source looks right again later does not bring back what was lost. The
    others say that the source is not the one of the stream, and are judged anew at every start.
    """

    SLOT_MISSING = "slot missing"
    SLOT_LOG_REMOVED = "slot lost, log removed"
    SLOT_IDLE_TOO_LONG = "slot lost, idle too long"
    SLOT_INVALIDATED = "slot invalidated"
    SLOT_MADE_ANEW = "slot made anew"
    SLOT_MOVED = "slot moved"
    SLOT_READ_BY_OTHER = "slot read by another"
    SLOT_CHANGED = "slot of another kind"
    PUBLICATION_MISSING = "publication missing"
    PUBLICATION_CHANGED = "publication changed"
    LOG_ENDS_EARLIER = "source log ends earlier"
    HISTORY_CHANGED = "source history changed"
    OTHER_SYSTEM = "other system"
    OTHER_TIMELINE = "other timeline"
    OTHER_DATABASE = "other database"
    STANDBY = "source is a standby"
    LOG_LEVEL = "wal_level too low"

    @property
    def lasting(self) -> bool:
        """Whether the stream stays broken whatever the source looks like later."""
        return self not in _JUDGED_ANEW

    @property
    def remedy(self) -> str:
        """What to do about it."""
        before = _FIRST.get(self)
        return f"{before}; {_RELOAD}." if before else f"{_RELOAD[0].upper()}{_RELOAD[1:]}."


_JUDGED_ANEW = {Gap.OTHER_SYSTEM, Gap.OTHER_TIMELINE, Gap.OTHER_DATABASE, Gap.STANDBY, Gap.LOG_LEVEL}
_FIRST = {
    Gap.SLOT_LOG_REMOVED: "Raise max_slot_wal_keep_size, or let the task run more often",
    Gap.SLOT_IDLE_TOO_LONG: "Raise idle_replication_slot_timeout, or let the task run more often",
    Gap.SLOT_MOVED: "Find who calls pg_replication_slot_advance on the slot",
    Gap.SLOT_READ_BY_OTHER: "Find the other reader of the slot and give it one of its own",
    Gap.OTHER_SYSTEM: "Correct the address of the source endpoint and resume. If the source was replaced",
    Gap.OTHER_TIMELINE: "If the endpoint names the wrong server, correct it and resume. If the source was promoted",
    Gap.OTHER_DATABASE: "Correct DatabaseName of the source endpoint and resume. If it is meant",
    Gap.STANDBY: "Let the source endpoint name the primary and resume. If this server was promoted since",
    Gap.LOG_LEVEL: "Set wal_level = logical and restart PostgreSQL",
}


def format_lsn(lsn: int) -> str:
    """A number as `16/B374D848`."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


@dataclass(frozen=True, slots=True)
class Lost:
    """The part of the log that is lost to the task: after `first`, to `last` (None: not known, up to now at least)."""

    first: int
    last: int | None

    def __str__(self) -> str:
        return f"{format_lsn(self.first)} to {format_lsn(self.last) if self.last is not None else 'unknown'}"


class GapError(TaskError):
    """A stream is broken. The message has the gap's name, its cause, the lost range and the remedy."""

    def __init__(self, gap: Gap, cause: str, lost: Lost) -> None:
        super().__init__(f"Stream broken ({gap.value}): {cause}. Changes lost: {lost}. {gap.remedy}")
        self.gap = gap
        self.lost = lost
