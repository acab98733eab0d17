"""Tables that a task's mappings select since they were changed: taken into the live stream, or left out of it.

DMS loads a table that was added to a task when the task is resumed, and goes on with the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg

from dms_assets.local_dms.context import TaskContext
from dms_assets.local_dms.postgres.catalog import SourceTable
from dms_assets.local_dms.postgres.publication import published, set_publications
from dms_assets.local_dms.store import StreamState
from dms_assets.local_dms.tables import (
    BEFORE_LOAD,
    COMPLETED,
    LOST_MEMBER,
    check_tables,
    new_statistics,
    selected_tables,
    table_name,
)
from dms_assets.model import failpoints


def follow_selection(context: TaskContext, connection: psycopg.Connection[Any], stream: StreamState) -> StreamState:
    """The stream with the tables that are selected now.

    New ones wait for their load, which is a reload inside the stream: what the log has of them before its boundary
    comes before it. A table made anew under its old name is one, and so is a known table under a new name. Others are
    no longer published, and none that was let go because the log cannot name its rows. Raises TaskError.
    """
    statistics = {table_name(one): one for one in context.store.statistics(context.arn)}
    tables = {table.oid: table for table in selected_tables(context, connection)}
    known = {
        oid
        for oid, (name, _) in stream.tables.items()
        if name in statistics and (oid not in tables or tables[oid].name == name)
    }
    # With more forms than one a kill came while they changed: which one the source has is not known.
    settled = len(stream.publications) == 1
    if settled and tables.keys() <= known and {table.name for table in tables.values()} == statistics.keys():
        return stream
    new = [table for oid, table in tables.items() if oid not in known]
    check_tables(context, new)
    state = COMPLETED if context.migration_type == "cdc" else BEFORE_LOAD
    kept = {table.name: statistics[table.name] for oid, table in tables.items() if oid in known}
    added = {table.name: new_statistics(table.name, state) for table in new}
    # Oids of tables that are gone stay: the log may still have changes of them, which are then left out by name.
    changed = stream.with_tables({table.oid: (table.name, table.key) for table in new})
    lost = {oid for oid in known & tables.keys() if LOST_MEMBER in statistics[tables[oid].name]}
    changed = _publish(context, connection, changed, [table for oid, table in tables.items() if oid not in lost])
    with context.store.transaction():
        context.store.put_stream(context.arn, changed)
        # As they are now: a reload may have been asked for meanwhile.
        present = {table_name(one): one for one in context.store.statistics(context.arn)}
        context.store.reset_statistics(context.arn, [*(present[name] for name in kept), *added.values()])
    for name in added:
        context.say(f"Table {name} is new in this task and will be loaded")
    for name in statistics.keys() - kept.keys() - added.keys():
        context.say(f"Table {name} is no longer selected, or not in the source, and is left out from here on")
    return changed


def _publish(
    context: TaskContext, connection: psycopg.Connection[Any], stream: StreamState, tables: list[SourceTable]
) -> StreamState:
    """Change the publications. Both forms are known before the change is made, so that a kill leaves one of them."""
    with connection.transaction():
        set_publications(connection, stream.slot, tables)
        now = published(connection, stream.slot)
        before = context.store.stream(context.arn)
        if before is not None:
            context.store.put_stream(context.arn, replace(before, publications=(*before.publications, now)))
        failpoints.reach("local_dms.before_publishing")
    failpoints.reach("local_dms.after_publishing")
    return replace(stream, publications=(now,))
