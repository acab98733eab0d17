"""Loads of a task's tables: the first one of a stream, those of a task without one, reloads inside a live stream."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import psycopg

from dms_assets.local_dms.context import TaskContext, now
from dms_assets.local_dms.faults import TaskError
from dms_assets.local_dms.load import load_table, task_start
from dms_assets.local_dms.postgres.catalog import SourceTable, read_tables
from dms_assets.local_dms.postgres.reading import at_snapshot
from dms_assets.local_dms.postgres.slot import exporting_slot
from dms_assets.local_dms.stream import ChangeStream
from dms_assets.local_dms.tables import (
    COMPLETED,
    ERROR,
    FULL_LOAD,
    RELOAD_MEMBER,
    RELOADING,
    prepare_targets,
)
from dms_assets.model import failpoints
from dms_assets.model.names import TableName
from dms_assets.model.sequence import hundredths

_WAIT_S = 0.005


def load_initially(context: TaskContext, tables: Sequence[SourceTable], snapshot: str) -> None:
    """The load that begins a stream: all tables at its snapshot."""
    _load_all(context, tables, snapshot)


def load_without_stream(
    context: TaskContext, connection: psycopg.Connection[Any], tables: Sequence[SourceTable]
) -> None:
    """All tables that are not loaded yet, at one snapshot of their own (migration type full-load)."""
    done = {_name(d) for d in context.store.statistics(context.arn) if d["TableState"] == COMPLETED}
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        row = connection.execute("select pg_export_snapshot()").fetchone()
        _load_all(context, [t for t in tables if t.name not in done], row[0] if row else "")


def _load_all(context: TaskContext, tables: Sequence[SourceTable], snapshot: str) -> None:
    context.store.update(context.arn, FullLoadStartDate=now().timestamp())
    with context.source.connect_arrow() as connection, at_snapshot(connection, snapshot):
        for table in tables:
            context.check_stop()
            context.store.update_table(
                context.arn, table.name, TableState=FULL_LOAD, FullLoadStartTime=now().timestamp(), FullLoadRows=0
            )
            rows = load_table(context, connection, table, task_start(context))
            _completed(context, table.name, rows)
    context.store.update(context.arn, FullLoadFinishDate=now().timestamp())
    context.say("Load complete, replication ongoing" if context.migration_type != "full-load" else "Load complete")


def _completed(context: TaskContext, name: TableName, rows: int) -> None:
    ended = now().timestamp()
    changes = {"TableState": COMPLETED, "FullLoadRows": rows, "FullLoadEndTime": ended, RELOAD_MEMBER: None}
    context.store.update_table(context.arn, name, **changes)


def load_interrupted(context: TaskContext, changes: ChangeStream) -> None:
    """After a restart: tables whose load did not end are loaded as by a reload, since their snapshot is gone."""
    names = [_name(d) for d in context.store.statistics(context.arn) if d["TableState"] not in {COMPLETED, ERROR}]
    if names:
        _reload(context, changes, names)
        context.store.update(context.arn, FullLoadFinishDate=now().timestamp())


def reload_requested(context: TaskContext, changes: ChangeStream) -> None:
    """Reload the tables that ReloadTables asked for."""
    names = [_name(d) for d in context.store.statistics(context.arn) if d.get(RELOAD_MEMBER)]
    if names:
        _reload(context, changes, names)


def _name(document: dict[str, Any]) -> TableName:
    return TableName(document["SchemaName"], document["TableName"])


def _reload(context: TaskContext, changes: ChangeStream, names: Sequence[TableName]) -> None:
    """Load tables at a snapshot inside the live stream, with an exact boundary.

    A temporary slot gives a snapshot at an LSN. All changes before it are made durable; then the clock is raised by a
    hundredth and stored as the loads' start, so that sequences of earlier changes are below it and those of later
    changes are not.
    """
    with ExitStack() as stack:
        snapshot = stack.enter_context(
            exporting_slot(
                context.source,
                f"local_dms_reload_{uuid.uuid4().hex[:12]}",
                temporary=True,
                timeout_s=context.settings.consistency_timeout_s,
                stopped=context.stop.is_set,
            )
        )
        changes.catch_up(snapshot.lsn)
        if changes.state.durable != snapshot.lsn:
            raise TaskError("A change was read beyond the boundary of a reload; start the task with reload-target.")
        tick = max(changes.state.tick, hundredths(now())) + 1
        failpoints.reach("local_dms.before_boundary")
        boundary = tick / 100
        with context.store.transaction():
            context.store.put_stream(context.arn, changes.raise_clock(tick))
            for name in names:
                context.store.update_table(
                    context.arn,
                    name,
                    TableState=RELOADING,
                    FullLoadStartTime=boundary,
                    FullLoadEndTime=None,
                    FullLoadRows=0,
                    FullLoadReloaded=True,
                )
        while now().timestamp() < boundary:
            # A file of this load must not be older than the load's start.
            context.stop.wait(_WAIT_S)
            context.check_stop()
        tables = {t.name: t for t in read_tables(changes.connection, names)}
        arrow = stack.enter_context(context.source.connect_arrow())
        stack.enter_context(at_snapshot(arrow, snapshot.name))
        for name in names:
            if name not in tables:
                context.store.update_table(context.arn, name, TableState=ERROR, **{RELOAD_MEMBER: None})
                context.say(f"Table {name} cannot be reloaded: it is no longer in the source", "failure")
                continue
            prepare_targets(context, [tables[name]])
            rows = load_table(context, arrow, tables[name], datetime.fromtimestamp(boundary, UTC))
            _completed(context, name, rows)
