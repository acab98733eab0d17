"""The tables of a task: which are selected, their statistics documents, and the states they go through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from dms_assets.dms.table_mappings import TableMappingError
from dms_assets.local_dms.context import TaskContext, now
from dms_assets.local_dms.faults import TaskError
from dms_assets.local_dms.files.naming import table_prefix
from dms_assets.local_dms.postgres.catalog import SourceTable, list_tables, read_tables
from dms_assets.model.names import TableName

BEFORE_LOAD, FULL_LOAD, RELOADING = "Before load", "Full load", "Table is being reloaded"
COMPLETED, ERROR = "Table completed", "Table error"

RELOAD_MEMBER = "ReloadRequested"
"""Ours, never in an answer: a reload was asked for and has not begun."""

LOST_MEMBER = "IdentityLost"
"""Ours, never in an answer: the log cannot name the table's rows any more, and why. It ends when it is published."""

UNTOLD_MEMBER = "LossUntold"
"""Ours, never in an answer: the table lost its identity, and nobody was told yet."""

OUR_MEMBERS = frozenset({RELOAD_MEMBER, LOST_MEMBER, UNTOLD_MEMBER})

_COUNTERS = (
    *("Inserts", "Updates", "Deletes", "Ddls", "AppliedInserts", "AppliedUpdates", "AppliedDeletes", "AppliedDdls"),
    *("FullLoadRows", "FullLoadCondtnlChkFailedRows", "FullLoadErrorRows"),
)


def table_name(statistics: dict[str, Any]) -> TableName:
    """The table that a statistics document is of."""
    return TableName(statistics["SchemaName"], statistics["TableName"])


def new_statistics(name: TableName, state: str) -> dict[str, Any]:
    """A table's statistics when its stream begins."""
    return {
        "SchemaName": name.schema,
        "TableName": name.table,
        **dict.fromkeys(_COUNTERS, 0),
        "FullLoadReloaded": False,
        "TableState": state,
        "ValidationState": "Not enabled",
        "LastUpdateTime": now().timestamp(),
    }


def selected_tables(context: TaskContext, connection: psycopg.Connection[Any]) -> list[SourceTable]:
    """The tables that the mappings select."""
    return read_tables(connection, [name for name in list_tables(connection) if context.mappings.selects(name)])


def first_tables(context: TaskContext, connection: psycopg.Connection[Any]) -> list[SourceTable]:
    """The tables that a start begins with. Raises TaskError if there are none and the task must then fail."""
    tables = selected_tables(context, connection)
    if not tables and context.settings.fail_on_no_tables:
        raise TaskError(
            "No tables were found at task initialization. Either the selected table(s) or schema(s) no longer exist or "
            "no match was found for the table selection pattern(s): correct the table mappings or the source."
        )
    check_tables(context, tables)
    return tables


def check_tables(context: TaskContext, tables: Iterable[SourceTable]) -> None:
    """Say what of new tables cannot be captured. Raises TaskError if the mappings do not fit one of them."""
    for table in tables:
        try:
            # Fails now, with a clear message, rather than at the first row.
            context.mappings.apply(table.name, [column.name for column in table.columns])
        except TableMappingError as error:
            raise TaskError(f"Table {table.name}: table mappings: {error}.") from error
        if table.left_out:
            context.say(
                f"Table {table.name}: generated columns {', '.join(table.left_out)} are not in the source's log and "
                "are left out of loads and changes",
                "warning",
            )
        if context.migration_type != "full-load" and not table.can_replicate_updates:
            context.say(
                f"Table {table.name} has no usable primary key ({table.unnamed}): only its inserts are captured; give "
                "it a key that is not deferrable, or set REPLICA IDENTITY FULL, to capture updates and deletes",
                "warning",
            )


def prepare_targets(context: TaskContext, tables: list[SourceTable]) -> None:
    """TargetTablePrepMode: DO_NOTHING keeps what is there, the others remove the tables' objects."""
    if context.settings.prep_mode == "DO_NOTHING":
        return
    for table in tables:
        target = context.mappings.apply(table.name, [column.name for column in table.columns])
        context.target.delete_below(table_prefix(context.layout.folder, target.schema, target.table))
