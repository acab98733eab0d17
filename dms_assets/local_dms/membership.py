"""Which tables a live stream carries: changed in one transaction of the source, known here before it commits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg

from dms_assets.local_dms.context import TaskContext
from dms_assets.local_dms.faults import TableError
from dms_assets.local_dms.postgres.catalog import SourceTable, read_tables
from dms_assets.local_dms.postgres.publication import publication_names, publish, published, unpublish
from dms_assets.local_dms.postgres.slot import SlotBlockedError
from dms_assets.local_dms.stream import ChangeStream
from dms_assets.local_dms.suspension import suspend, table_errors
from dms_assets.local_dms.tables import LOST_MEMBER, RELOAD_MEMBER, check_tables
from dms_assets.model import failpoints
from dms_assets.model.names import TableName

_LOCK_TIMEOUT = "3s"
"""More than `deadlock_timeout`, after which PostgreSQL makes an autovacuum give way."""


@contextmanager
def change_publications(
    context: TaskContext,
    connection: psycopg.Connection[Any],
    slot: str,
    members: Mapping[TableName, Mapping[str, Any]],
) -> Iterator[None]:
    """Change publications inside the context; `members` of tables' statistics are stored with their new form.

    The new form is stored before the source's transaction commits, and the old one stays permitted until it has, so
    that a kill leaves one of them. Raises psycopg.errors.LockNotAvailable if a table is locked for some seconds.
    """
    with connection.transaction():
        connection.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
        yield
        form = published(connection, slot)
        with context.store.transaction():
            stream = context.store.stream(context.arn)
            before = stream.publications if stream is not None else ()
            if stream is not None:
                context.store.put_stream(context.arn, replace(stream, publications=(*before, form)))
            for name, values in members.items():
                context.store.update_table(context.arn, name, **values)
        failpoints.reach("local_dms.before_publishing")
    failpoints.reach("local_dms.after_publishing")
    forget_forms(context, before, form)


def forget_forms(context: TaskContext, before: Sequence[Mapping[str, str]], form: Mapping[str, str]) -> None:
    """Permit forms of before a change no longer: one of them may lack a table, and nobody would miss it."""
    with context.store.transaction():
        stream = context.store.stream(context.arn)
        if stream is not None:
            kept = tuple(known for known in stream.publications if known == form or known not in before)
            context.store.put_stream(context.arn, replace(stream, publications=kept))


def take_up(context: TaskContext, changes: ChangeStream, names: Iterable[TableName]) -> list[TableName]:
    """Let the stream carry tables that are to be loaded, as they are now; those that can be loaded.

    A table made anew under its name is another one; one with a key again is published with all changes again. A
    table whose rows the log still cannot name stays suspended: its load would look right, and updates be lost.
    Raises SlotBlockedError if a table is locked.
    """
    wanted = list(names)
    present = {table.name: table for table in read_tables(changes.connection, wanted)}
    ready = []
    for name in wanted:
        try:
            if name in present:
                _take_up(context, changes, present[name])
            ready.append(name)
        except TableError as error:
            context.store.update_table(context.arn, name, **{RELOAD_MEMBER: None})
            changes.suspend([name])
            suspend(context, error)
    return ready


def _take_up(context: TaskContext, changes: ChangeStream, table: SourceTable) -> None:
    lost, known = LOST_MEMBER in context.store.table(context.arn, table.name), table.oid in changes.state.tables
    slot = changes.state.slot
    form = published(changes.connection, slot)
    whole, inserts = (f"{publication}/{table.oid}" in form for publication in publication_names(slot))
    if table.unnamed and (lost or (known and not whole and not inserts)):
        raise TableError(table.name, lost_message(table.unnamed))
    # Another relation had this name: its changes, under whatever name it has now, are not the table's any more.
    earlier = [
        oid
        for oid, (name, _) in changes.state.tables.items()
        if name == table.name and oid != table.oid and any(f"{p}/{oid}" in form for p in publication_names(slot))
    ]
    # One that is known and cannot be named is left as it is: a log of inserts, or found by the watch of tables.
    if known and not lost and not earlier and (whole or table.unnamed):
        return
    check_tables(context, [] if known else [table])
    try:
        with (
            table_errors(context, table.name),
            change_publications(context, changes.connection, slot, {table.name: {LOST_MEMBER: None}}),
        ):
            for oid in earlier:
                unpublish(changes.connection, slot, oid)
            publish(changes.connection, slot, table)
            changes.adopt(table)
    except TableError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise SlotBlockedError(f"Table {table.name} is locked by another transaction") from error
        raise


def lost_message(reason: str) -> str:
    """What is said of a table that lost its identity."""
    return (
        f"{reason}: PostgreSQL refuses updates and deletes of such a table while it is published, so it is not "
        "published any more, and its changes are lost from here on; give it a primary key that is not deferrable, or "
        "an identity that names its rows (ALTER TABLE ... REPLICA IDENTITY DEFAULT or FULL)"
    )
