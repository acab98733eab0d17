"""Replication slots: made with an exported snapshot, moved on when files are durable."""

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

from dms_assets.local_dms.faults import TaskError, TaskStoppedError
from dms_assets.local_dms.gaps import format_lsn
from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.model.names import quote

_BLOCKERS = """
select 'transaction of process ' || pid || ' (' || coalesce(usename, '?') || ', ' || coalesce(application_name, '')
       || ', open since ' || xact_start || ')'
from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid() and datname is not null
union all
select 'prepared transaction ''' || gid || ''' (' || owner || ', prepared ' || prepared || ')' from pg_prepared_xacts
"""
_POLL_S = 0.2
_LOG_PAGE = 8192
"""Bytes of a page of the log, unless PostgreSQL was compiled with smaller ones."""
_SETTLE_S = 2.0


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


def await_flush(connection: psycopg.Connection[Any]) -> None:
    """Wait until what is committed now is in the log on disk, which is all that can be read.

    Sessions with `synchronous_commit = off` do not wait for it: their commits are seen up to three times
    `wal_writer_delay` earlier (PostgreSQL: https://www.postgresql.org/docs/current/wal-async-commit.html).
    """
    row = connection.execute("select (pg_current_wal_insert_lsn() - '0/0')::text").fetchone()
    written, deadline = int(row[0]) if row else 0, time.monotonic() + _SETTLE_S
    while flushed_lsn(connection) < written and time.monotonic() < deadline:
        time.sleep(_POLL_S / 10)


def settled_lsn(connection: psycopg.Connection[Any]) -> int:
    """How far the source's log is on disk, at the end of a record.

    PostgreSQL writes its log by pages, and the last record on disk may be cut by the end of one. Decoding up to there
    waits in the server, and cannot be interrupted by a stop, until the rest of the record is written: on a quiet source
    with an open transaction that may be for ever.
    A transaction without changes makes the server write it, within `wal_writer_delay`.
    """
    reached = flushed_lsn(connection)
    if reached % _LOG_PAGE:
        return reached
    connection.execute("select pg_current_xact_id()")
    deadline = time.monotonic() + _SETTLE_S
    while (settled := flushed_lsn(connection)) == reached and time.monotonic() < deadline:
        time.sleep(_POLL_S / 10)
    return settled


def advance_slot(connection: psycopg.Connection[Any], name: str, lsn: int) -> None:
    """Let the source forget its log up to `lsn`. A slot that is further on already stays where it is."""
    connection.execute(
        "select pg_replication_slot_advance(slot_name, %s::pg_lsn) from pg_replication_slots "
        "where slot_name = %s and confirmed_flush_lsn < %s::pg_lsn",
        [format_lsn(lsn), name, format_lsn(lsn)],
    )
