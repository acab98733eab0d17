"""Replication slots: made with an exported snapshot, checked before use, moved on when files are durable."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq
from psycopg.pq import abc

from dms_assets.local_dms.faults import RecoverableError, TaskError, TaskStoppedError
from dms_assets.local_dms.postgres.source import SourceAddress, literal
from dms_assets.model.names import quote

_BLOCKERS = """
select 'transaction of process ' || pid || ' (' || coalesce(usename, '?') || ', ' || coalesce(application_name, '')
       || ', open since ' || xact_start || ')'
from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid() and datname is not null
union all
select 'prepared transaction ''' || gid || ''' (' || owner || ', prepared ' || prepared || ')' from pg_prepared_xacts
"""
_POLL_S = 0.2


class SlotBlockedError(TaskError):
    """Open transactions with writes kept a slot from being made in time."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A slot's consistent point: transactions whose commit ends at or before `lsn` are visible in the snapshot."""

    lsn: int
    name: str


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """Which database cluster this is: changes on a restore from backup or a promotion."""

    system: str
    timeline: int


def parse_lsn(text: str) -> int:
    """`16/B374D848` as a number."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(lsn: int) -> str:
    """A number as `16/B374D848`."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def slot_name(arn: str) -> str:
    """The slot and publication of a task: its resource id, in the characters a slot may have."""
    return "local_dms_" + "".join(c if c.isalnum() else "_" for c in arn.rsplit(":", 1)[-1].lower())[:40]


def identify(replication: abc.PGconn) -> SourceIdentity:
    """IDENTIFY_SYSTEM on a replication connection."""
    result = _checked(replication, replication.exec_(b"IDENTIFY_SYSTEM"))
    return SourceIdentity(_text(result, 0), int(_text(result, 1)))


def _text(result: abc.PGresult, column: int) -> str:
    return (result.get_value(0, column) or b"").decode()


def _checked(connection: abc.PGconn, result: abc.PGresult) -> abc.PGresult:
    if result.status not in {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}:
        message = result.get_error_message()
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        error = psycopg.errors.lookup(state) if state else psycopg.OperationalError
        raise error(message or connection.get_error_message())
    return result


@contextmanager
def exporting_slot(
    source: SourceAddress,
    name: str,
    *,
    temporary: bool,
    timeout_s: float,
    stopped: Callable[[], bool],
) -> Iterator[Snapshot]:
    """Create a slot and hold its snapshot while the context is open (a temporary slot also ends with it).

    Raises SlotBlockedError naming the transactions that are in the way when the slot is not there after `timeout_s`
    seconds, and TaskStoppedError when `stopped()` turns true while it waits.
    """
    with source.connect_replication() as replication:
        kind = "TEMPORARY LOGICAL" if temporary else "LOGICAL"
        command = f"CREATE_REPLICATION_SLOT {quote(name)} {kind} pgoutput (SNAPSHOT 'export')"
        replication.send_query(command.encode())
        deadline = time.monotonic() + timeout_s
        while replication.is_busy():
            select.select([replication.socket], [], [], _POLL_S)
            replication.consume_input()
            if stopped():
                replication.get_cancel().cancel()
                raise TaskStoppedError
            if time.monotonic() > deadline and replication.is_busy():
                blockers = blocking_transactions(source)
                replication.get_cancel().cancel()
                raise SlotBlockedError(
                    f"Replication slot {name} could not be made in {timeout_s:g} s: PostgreSQL waits for "
                    f"{'; '.join(blockers) or 'a transaction that has just ended'}. "
                    "End it (pg_terminate_backend, ROLLBACK PREPARED) and start the task again."
                )
        result = replication.get_result()
        if result is None:
            raise psycopg.OperationalError("connection lost while a replication slot was made")
        _checked(replication, result)
        while replication.get_result() is not None:
            pass
        yield Snapshot(parse_lsn(_text(result, 1)), _text(result, 2))


def blocking_transactions(source: SourceAddress) -> list[str]:
    """Transactions with writes that are open now, prepared ones included."""
    with source.connect() as connection:
        return [row[0] for row in connection.execute(_BLOCKERS)]


def drop_slot(connection: psycopg.Connection[Any], name: str) -> None:
    """Remove a slot if it exists."""
    connection.execute(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", [name]
    )


def flushed_lsn(connection: psycopg.Connection[Any]) -> int:
    """How far the source's log is on disk."""
    row = connection.execute("select (pg_current_wal_flush_lsn() - '0/0')::text").fetchone()
    return int(row[0]) if row else 0


def advance_slot(connection: psycopg.Connection[Any], name: str, lsn: int) -> None:
    """Let the source forget its log up to `lsn`. A slot that is further on already stays where it is."""
    connection.execute(
        "select pg_replication_slot_advance(slot_name, %s::pg_lsn) from pg_replication_slots "
        "where slot_name = %s and confirmed_flush_lsn < %s::pg_lsn",
        [format_lsn(lsn), name, format_lsn(lsn)],
    )


_REMEDY = (
    "Changes since the last one are lost to this task: start it with reload-target, which loads all tables again as a "
    "new stream."
)


def check_slot(connection: psycopg.Connection[Any], name: str, durable: int) -> None:
    """Raises TaskError if changes after `durable` cannot all be read from the slot any more.

    Raises RecoverableError while another process of the source holds the slot: a killed reader does for a moment.
    """
    reason = "invalidation_reason" if connection.info.server_version >= 170000 else "null"
    row = connection.execute(
        literal(
            f"select wal_status, {reason}, (confirmed_flush_lsn - '0/0')::text, active_pid, database, "
            "current_database() from pg_replication_slots where slot_name = %s"
        ),
        [name],
    ).fetchone()
    slot = f"Replication slot {name}"
    if row is None:
        raise TaskError(f"{slot} is missing on the source (dropped, failed over or restored). {_REMEDY}")
    wal_status, invalidation, confirmed, active_pid, database, current = row
    if wal_status == "lost" or invalidation:
        why = invalidation or "max_slot_wal_keep_size was exceeded"
        raise TaskError(f"{slot} is lost (wal_status {wal_status}: {why}). {_REMEDY}")
    if database != current:
        raise TaskError(f"{slot} belongs to database {database}, the endpoint names {current}. {_REMEDY}")
    if active_pid is not None:
        raise RecoverableError(f"{slot} is in use by process {active_pid} on the source; end it if it stays")
    if int(confirmed) > durable:
        raise TaskError(
            f"{slot} is confirmed to {format_lsn(int(confirmed))}, beyond {format_lsn(durable)}, the last position "
            f"whose files are durable: something else read from it. {_REMEDY}"
        )
    if flushed_lsn(connection) < durable:
        raise TaskError(
            f"The source's log ends before {format_lsn(durable)}, which this task has read: it was restored to an "
            f"earlier time. {_REMEDY}"
        )
