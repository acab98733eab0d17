"""What one run of a task works with."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg

from dms_assets.dms.table_mappings import TableMappings, TargetTable
from dms_assets.local_dms.column import SourceColumn, SourceOptions
from dms_assets.local_dms.decode.cells import Notes
from dms_assets.local_dms.decode.decoder import change_decoder, load_decoder
from dms_assets.local_dms.faults import TableError, TaskError, TaskStoppedError
from dms_assets.local_dms.files.layout import FileLayout
from dms_assets.local_dms.files.target import Target
from dms_assets.local_dms.postgres.reading import print_values
from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.local_dms.rows import Output, OutputColumn
from dms_assets.local_dms.settings import OnError, TaskSettings
from dms_assets.local_dms.store import Store
from dms_assets.model.names import TableName

log = logging.getLogger("local_dms")


def now() -> datetime:
    """The current time, aware."""
    return datetime.now(UTC)


@dataclass(slots=True)
class TaskContext:
    """A task's settings and connections to the rest, read once when it starts."""

    arn: str
    identifier: str
    migration_type: str
    fresh_start: float
    source: SourceAddress
    options: SourceOptions
    layout: FileLayout
    settings: TaskSettings
    mappings: TableMappings
    target: Target
    store: Store
    stop: threading.Event
    wake: threading.Event
    _noted: set[tuple[str, str]] = field(default_factory=set)

    def say(self, message: str, category: str = "state change") -> None:
        """Log a message and record it as an event of the task."""
        log.info("task %s: %s", self.identifier, message)
        self.store.add_event("replication-task", self.identifier, category, message)

    def check_stop(self) -> None:
        """Raises TaskStoppedError if the task was asked to stop."""
        if self.stop.is_set():
            raise TaskStoppedError

    def judge(self, table: TableName, notes: Notes) -> None:
        """Report what the target could not hold, once per table and rule.

        Raises TaskError if the task must fail, TableError if the table must be suspended.
        """
        for rule, count in notes.counts.items():
            if rule == "truncated LOB" and self.settings.on_truncation is not OnError.GO_ON:
                limit = (self.settings.lob_limit or 0) // 1024
                reason = (
                    f"{count} values are longer than LobMaxSize ({limit} KB); raise LobMaxSize in the task settings"
                )
                if self.settings.on_truncation is OnError.SUSPEND:
                    raise TableError(table, f"{reason} and reload the table")
                raise TaskError(f"Table {table}: {reason} and start the task with reload-target.")
            if (str(table), rule) not in self._noted:
                self._noted.add((str(table), rule))
                self.say(f"Table {table}: {count} values: {rule}", "warning")
        notes.counts.clear()


def load_output(context: TaskContext, target: TargetTable, columns: Sequence[SourceColumn]) -> Output:
    """The form of a table's load files; `columns` are those read, in order."""
    places = {column.name: place for place, column in enumerate(columns)}
    outputs = tuple(
        OutputColumn(name, places[source], load_decoder(columns[places[source]], context.options))
        for source, name in target.columns
    )
    return Output(outputs, target.added, context.layout.timestamp_column)


def change_output(
    context: TaskContext,
    target: TargetTable,
    columns: Sequence[SourceColumn],
    connection: psycopg.Connection[object],
) -> Output:
    """The form of a table's change files; `columns` are those of the log, in order."""
    places = {column.name: place for place, column in enumerate(columns)}
    outputs: list[OutputColumn] = []
    for source, name in target.columns:
        column = columns[places[source]]

        def printer(type_oid: int, values: list[bytes], output: str = column.type.output) -> list[str]:
            return print_values(connection, type_oid, output, values)

        decode = change_decoder(column, context.options, printer)
        outputs.append(OutputColumn(name, places[source], decode, may_be_text=not column.type.has_binary))
    return Output(tuple(outputs), target.added, context.layout.timestamp_column)
