"""Loads of a task's tables: the first one of a stream, and those of a task without one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from dms_assets.local_dms.context import TaskContext, now
from dms_assets.local_dms.faults import TableError
from dms_assets.local_dms.load import load_table, task_start
from dms_assets.local_dms.postgres.catalog import SourceTable
from dms_assets.local_dms.postgres.reading import at_snapshot
from dms_assets.local_dms.suspension import suspend, table_errors
from dms_assets.local_dms.tables import COMPLETED, ERROR, FULL_LOAD, LOST_MEMBER, table_name
from dms_assets.model import failpoints


def load_initially(context: TaskContext, tables: Sequence[SourceTable], snapshot: str) -> None:
    """The load that begins a stream: all tables at its snapshot."""
    _load_all(context, tables, snapshot)


def load_without_stream(
    context: TaskContext, connection: psycopg.Connection[Any], tables: Sequence[SourceTable]
) -> None:
    """All tables that are not loaded yet, at one snapshot of their own (migration type full-load)."""
    done = {table_name(d) for d in context.store.statistics(context.arn) if d["TableState"] == COMPLETED}
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        row = connection.execute("select pg_export_snapshot()").fetchone()
        _load_all(context, [t for t in tables if t.name not in done], row[0] if row else "")


def _load_all(context: TaskContext, tables: Sequence[SourceTable], snapshot: str) -> None:
    context.store.update(context.arn, FullLoadStartDate=now().timestamp())
    for table in tables:
        context.check_stop()
        context.store.update_table(
            context.arn, table.name, TableState=FULL_LOAD, FullLoadStartTime=now().timestamp(), FullLoadRows=0
        )
        load_at(context, table, snapshot, task_start(context))
    context.store.update(context.arn, FullLoadFinishDate=now().timestamp())
    context.say("Load complete, replication ongoing" if context.migration_type != "full-load" else "Load complete")


def load_at(context: TaskContext, table: SourceTable, snapshot: str, started: datetime) -> bool:
    """Load a table at an exported snapshot, and record the end; False if the table had to be suspended.

    Each table has a connection of its own: an error ends its transaction, and must not end that of the others.
    """
    try:
        with (
            context.source.connect_arrow() as connection,
            at_snapshot(connection, snapshot),
            table_errors(context, table.name),
        ):
            rows = load_table(context, connection, table, started)
    except TableError as error:
        suspend(context, error)
        return False
    failpoints.reach("local_dms.after_load")
    ended = now().timestamp()
    with context.store.transaction():
        # A table that was given up while it was read (dropped, or its identity lost) does not flow: it stays so.
        statistics = context.store.table(context.arn, table.name)
        lost = LOST_MEMBER in statistics or statistics["TableState"] == ERROR
        state = ERROR if lost else COMPLETED
        context.store.update_table(context.arn, table.name, TableState=state, FullLoadRows=rows, FullLoadEndTime=ended)
    return not lost
