"""Whether a stream can go on without loss: asked at every start, and around every read while it runs.

The source decides what it keeps for us, and others may touch it: a slot can be dropped, made anew, moved, read or
invalidated, a publication changed, a data folder put back from a backup. Each of these would otherwise look like a
stream in which nothing happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from dms_assets.local_dms.faults import RecoverableError
from dms_assets.local_dms.gaps import Gap, GapError, Lost, format_lsn
from dms_assets.local_dms.postgres.publication import publication_names, published, unlike
from dms_assets.local_dms.postgres.slot import SourceIdentity, flushed_lsn
from dms_assets.local_dms.postgres.source import literal
from dms_assets.local_dms.store import StreamState

_COMMIT_END, _COMMIT_TIME = 10, 18
_MICROS_1970_TO_2000 = 946_684_800_000_000
_INVALIDATED = {
    "wal_removed": (Gap.SLOT_LOG_REMOVED, "max_slot_wal_keep_size was exceeded"),
    "idle_timeout": (Gap.SLOT_IDLE_TOO_LONG, "idle_replication_slot_timeout was exceeded"),
}
_SLOT = """
select s.wal_status, {reason}, (s.confirmed_flush_lsn - '0/0')::int8, s.active_pid, s.database, current_database(),
       s.plugin, coalesce(t.total_txns, 0)
from pg_replication_slots s left join pg_stat_replication_slots t using (slot_name) where s.slot_name = %s
"""


@dataclass(frozen=True, slots=True)
class SlotState:
    """What the source says of a usable slot: where it stands, and how many transactions it has decoded."""

    confirmed: int
    decoded: int


def check_source(connection: psycopg.Connection[Any], stream: StreamState, identity: SourceIdentity) -> None:
    """Raises GapError if this server is not the one of the stream, or has no log that can be read."""
    if identity.system != stream.system:
        raise GapError(
            Gap.OTHER_SYSTEM,
            f"the source is system {identity.system}, the stream began on system {stream.system}: another server, or "
            "one that was made anew",
            Lost(stream.durable, None),
        )
    row = connection.execute("select pg_is_in_recovery(), current_setting('wal_level')").fetchone()
    standby, level = row or (False, "?")
    if standby:
        raise GapError(Gap.STANDBY, "the source is a standby, the stream is the primary's", Lost(stream.durable, None))
    if identity.timeline != stream.timeline:
        raise GapError(
            Gap.OTHER_TIMELINE,
            f"the source is on timeline {identity.timeline}, the stream began on {stream.timeline}: it was restored or "
            "promoted, and positions of the two do not compare",
            Lost(stream.durable, None),
        )
    if level != "logical":
        cause = f"the source has wal_level '{level}', its log has no changes of rows"
        raise GapError(Gap.LOG_LEVEL, cause, Lost(stream.durable, flushed_lsn(connection)))


def check_slot(connection: psycopg.Connection[Any], stream: StreamState) -> SlotState:
    """The slot's state. Raises GapError if changes after what is durable cannot all be read from it any more.

    Raises RecoverableError while another process of the source holds the slot: a killed reader does for a moment.
    """
    reason = "s.invalidation_reason" if connection.info.server_version >= 170000 else "null"
    row = connection.execute(literal(_SLOT.format(reason=reason)), [stream.slot]).fetchone()
    slot, durable = f"replication slot {stream.slot}", stream.durable
    if row is None:
        cause = f"{slot} is missing on the source: dropped, or not there after a failover or restore"
        raise GapError(Gap.SLOT_MISSING, cause, Lost(durable, flushed_lsn(connection)))
    status, invalidation, confirmed, active_pid, database, current, plugin, decoded = row
    if status == "lost" or invalidation:
        gap, why = _INVALIDATED.get(invalidation or "wal_removed", (Gap.SLOT_INVALIDATED, str(invalidation)))
        raise GapError(gap, f"{slot} is lost (wal_status {status}: {why})", Lost(durable, flushed_lsn(connection)))
    if database != current:
        cause = f"{slot} belongs to database {database}, the endpoint names {current}"
        raise GapError(Gap.OTHER_DATABASE, cause, Lost(durable, None))
    if plugin != "pgoutput":
        cause = f"{slot} has plugin {plugin}, not pgoutput: it was made anew by something else"
        raise GapError(Gap.SLOT_CHANGED, cause, Lost(durable, confirmed))
    if confirmed > durable:
        gap, why = _moved_on(decoded, stream.decoded)
        raise GapError(
            gap,
            f"{slot} is confirmed to {format_lsn(confirmed)}, beyond {format_lsn(durable)}, the last position whose "
            f"files are durable: {why}",
            Lost(durable, confirmed),
        )
    if active_pid is not None:
        raise RecoverableError(
            f"Replication slot {stream.slot} is in use by process {active_pid} on the source; end it if it stays"
        )
    return SlotState(confirmed, decoded)


def _moved_on(decoded: int, known: int) -> tuple[Gap, str]:
    """Who did it, as far as the slot's statistics tell: they begin with a slot, and do not count moves."""
    if decoded < known:
        return Gap.SLOT_MADE_ANEW, "it was dropped and made anew (its statistics begin anew)"
    if decoded > known:
        return (
            Gap.SLOT_READ_BY_OTHER,
            "something else read from it, or the state of this task was put back to an earlier time",
        )
    return Gap.SLOT_MOVED, "it was moved forward, or made anew, without being read"


Forms = Callable[[], Sequence[Mapping[str, str]]]
"""The forms that publications may have. Asked after the source, for the task itself may just have made another."""


def check_publications(connection: psycopg.Connection[Any], stream: StreamState, forms: Forms | None = None) -> None:
    """Raises GapError if the publications have not been what the stream made them, all the time.

    PostgreSQL 18 leaves out what a missing publication would have carried, with no more than a warning.
    """
    if not stream.publications:
        return
    changed = _changed(connection, stream, forms)
    if changed and forms:
        # The task itself may have changed them between the two looks, and it permits only the latest form.
        changed = _changed(connection, stream, forms)
    if changed:
        cause = f"{changed} was changed from outside: changes may have been left out of the log that was read"
        raise GapError(Gap.PUBLICATION_CHANGED, cause, Lost(stream.durable, flushed_lsn(connection)))


def _changed(connection: psycopg.Connection[Any], stream: StreamState, forms: Forms | None) -> str:
    """What of the publications is as no permitted form has it, if anything. Raises GapError if one is missing."""
    found = published(connection, stream.slot)
    missing = [name for name in publication_names(stream.slot) if name not in found]
    if missing:
        cause = f"publication {missing[0]} is missing on the source, so its log is read without the tables' changes"
        raise GapError(Gap.PUBLICATION_MISSING, cause, Lost(stream.durable, flushed_lsn(connection)))
    permitted = forms() if forms else stream.publications
    changes = [unlike(connection, wanted, found) for wanted in permitted]
    return changes[-1] if all(changes) else ""


def check_history(connection: psycopg.Connection[Any], stream: StreamState, slot: SlotState) -> None:
    """Raises GapError if the source's log up to what is durable is not the one that was read.

    After a crash the slot stands before what is durable, and the transactions between are still there. After the
    data folder was put back from a backup the slot stands there too, but what follows it is another history.
    """
    durable, end = stream.durable, flushed_lsn(connection)
    if end < durable:
        cause = f"the source's log ends at {format_lsn(end)}, before {format_lsn(durable)}, which this task has read"
        raise GapError(
            Gap.LOG_ENDS_EARLIER, f"{cause}: it was restored to an earlier time", Lost(slot.confirmed, durable)
        )
    if slot.confirmed == durable:
        return
    found = _last_commit(connection, stream)
    known = (stream.last_end, stream.last_micros) if stream.last_end > slot.confirmed else None
    if found != known:
        raise GapError(
            Gap.HISTORY_CHANGED,
            f"the source's log between {format_lsn(slot.confirmed)} and {format_lsn(durable)} is not the one that this "
            "task has read: it was restored to an earlier time and went on from there",
            Lost(slot.confirmed, durable),
        )


def _last_commit(connection: psycopg.Connection[Any], stream: StreamState) -> tuple[int, int] | None:
    """End and time of the last transaction that the slot has up to what is durable."""
    names = ",".join(f'"{name}"' for name in publication_names(stream.slot))
    rows = connection.execute(
        "select data from pg_logical_slot_peek_binary_changes(%s, %s::pg_lsn, null, 'proto_version', '1', "
        "'binary', 'true', 'publication_names', %s) where get_byte(data, 0) = ascii('C')",
        [stream.slot, format_lsn(stream.durable), names],
    ).fetchall()
    ends = [
        (
            int.from_bytes(data[_COMMIT_END : _COMMIT_END + 8], "big"),
            int.from_bytes(data[_COMMIT_TIME : _COMMIT_TIME + 8], "big", signed=True) + _MICROS_1970_TO_2000,
        )
        for (data,) in rows
    ]
    return max((one for one in ends if one[0] <= stream.durable), default=None)


def check_reading(connection: psycopg.Connection[Any], stream: StreamState, forms: Forms) -> SlotState:
    """Asked around every read: slot and publications are as the stream left them."""
    slot = check_slot(connection, stream)
    check_publications(connection, stream, forms)
    return slot
