"""The stream of changes: log to files, and only then the source may forget its log.

One cycle reads whole transactions up to a position, writes them to files of their tables, makes the files durable and
visible, stores the position with the clock, and moves the slot. A kill between any two steps repeats the cycle from
the stored position: the same changes come again, in new files, with the same sequences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import adbc_driver_manager.dbapi
import psycopg
import pyarrow as pa

from dms_assets.local_dms.column import SourceColumn
from dms_assets.local_dms.context import TaskContext, change_output
from dms_assets.local_dms.continuity import SlotState, check_reading
from dms_assets.local_dms.decode.cells import Notes
from dms_assets.local_dms.decode.images import images
from dms_assets.local_dms.decode.messages import Changes, Clock, MessageReader, Relation
from dms_assets.local_dms.faults import TableError, TaskError
from dms_assets.local_dms.files.naming import ChangeNames, table_prefix
from dms_assets.local_dms.files.parquet_file import ParquetFile
from dms_assets.local_dms.pipeline import Background, reading_ahead
from dms_assets.local_dms.postgres.catalog import SourceTable, read_types
from dms_assets.local_dms.postgres.reading import log_messages
from dms_assets.local_dms.postgres.slot import advance_slot, flushed_lsn, settled_lsn
from dms_assets.local_dms.postgres.source import source_errors
from dms_assets.local_dms.rows import Output, change_batch, operation_counts
from dms_assets.local_dms.store import StreamState
from dms_assets.local_dms.suspension import suspend, table_errors
from dms_assets.local_dms.tables import ERROR, table_name
from dms_assets.model import failpoints
from dms_assets.model.names import TableName

_MESSAGES_AT_ONCE = 1_000_000
"""Bounds what one read makes PostgreSQL hold (in a temporary file beyond its work_mem)."""

_SLAB_MESSAGES = 32_768
"""Messages decoded together: enough to hide Python's cost per column, few enough to stay in the processor's cache."""

_BY_KEY = "d"
"""The replica identity of a table whose rows the log names by their primary key."""


@dataclass(slots=True)
class _TableFiles:
    """Files of one table in one cycle; closed ones wait to be published together with the others."""

    name: TableName
    prefix: str
    counts: Counter[str] = field(default_factory=Counter)
    open: ParquetFile | None = None
    closed: list[ParquetFile] = field(default_factory=list)

    def close(self) -> None:
        if self.open is not None:
            self.open.close()
            self.closed.append(self.open)
            self.open = None

    def discard(self) -> None:
        if self.open is not None:
            self.open.discard()
        for file in self.closed:
            file.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Form:
    """How changes of one form of a relation become rows."""

    table: TableName
    prefix: str
    key: tuple[int, ...]
    output: Output


@dataclass(slots=True)
class ChangeStream:
    """Moves the changes of a task's slot. `state` is what is durable."""

    context: TaskContext
    connection: psycopg.Connection[Any]
    arrow: adbc_driver_manager.dbapi.Connection
    state: StreamState
    names: ChangeNames
    messages_at_once: int = _MESSAGES_AT_ONCE
    _reader: MessageReader = field(init=False)
    _forms: dict[Relation, _Form] = field(default_factory=dict)
    _files: dict[TableName, _TableFiles] = field(default_factory=dict)
    _notes: dict[TableName, Notes] = field(default_factory=dict)
    _suspended: set[TableName] = field(default_factory=set)
    _failed: dict[TableName, TableError] = field(default_factory=dict)
    """Tables that cannot go on, found in this cycle."""

    def __post_init__(self) -> None:
        self._reader = MessageReader(Clock(self.state.tick, self.state.counter))
        statistics = self.context.store.statistics(self.context.arn)
        self._suspended = {table_name(one) for one in statistics if one["TableState"] == ERROR}

    def suspend(self, names: Iterable[TableName]) -> None:
        """Write no changes of these tables any more."""
        self._suspended |= set(names)

    def resume(self, names: Iterable[TableName]) -> None:
        """Write changes of these tables from here on: a load makes up for what was left out."""
        self._suspended -= set(names)

    def catch_up(self, upto: int | None = None) -> None:
        """Make everything that committed up to `upto` (an LSN; now, if None) durable. Whole transactions only."""
        with source_errors(self.context.source):
            goal = settled_lsn(self.connection) if upto is None else upto
            reached = self.state.durable >= goal
            while not reached:
                reached = self._cycle(goal)

    def behind(self) -> int:
        """Bytes of log that are not read yet."""
        with source_errors(self.context.source):
            return flushed_lsn(self.connection) - self.state.durable

    def raise_clock(self, tick: int) -> None:
        """Store the clock at `tick`: later changes have sequences at or above it."""
        self._reader.clock.tick = tick
        self._keep(self.state.at(self.state.durable, tick, self._reader.clock.counter))

    def adopt(self, table: SourceTable) -> None:
        """Read changes of a table as it is now: it is another one under an old name, or has another key."""
        self._forms.clear()
        self._keep(self.state.with_tables({table.oid: (table.name, table.key)}))

    def _keep(self, state: StreamState) -> None:
        """Store the state. The forms of the publications are those that are stored: others change them meanwhile."""
        with self.context.store.transaction():
            self.context.store.put_stream(self.context.arn, replace(state, publications=tuple(self._known_forms())))
        self.state = state

    def _known_forms(self) -> Sequence[dict[str, str]]:
        stored = self.context.store.stream(self.context.arn)
        return stored.publications if stored is not None else self.state.publications

    def _check(self) -> SlotState:
        return check_reading(self.connection, self.state, self._known_forms)

    def _cycle(self, goal: int) -> bool:
        """One read; whether the goal was reached (PostgreSQL stops early after many messages)."""
        reader = self._reader
        reader.begin_run(self.state.durable)
        self._check()
        try:
            with (
                log_messages(self.arrow, self.state.slot, goal, self.messages_at_once) as batches,
                reading_ahead(batches) as ahead,
                Background() as writer,
            ):
                self._read(ahead, writer)
                writer.drain()
            for table, notes in self._notes.items():
                try:
                    self.context.judge(table, notes)
                except TableError as error:
                    self._failed[table] = error
                    notes.counts.clear()
            # Now that it is read: whoever took something from the slot before or meanwhile shows.
            slot = self._check()
            limited = reader.messages >= self.messages_at_once
            durable = max(self.state.durable, reader.last_end, 0 if limited else goal)
            last = (reader.last_end, reader.last_micros)
            after = self.state.at(durable, reader.clock.tick, reader.clock.counter, last)
            self._publish(replace(after, decoded=slot.decoded))
        except (psycopg.Error, adbc_driver_manager.dbapi.Error):
            # A slot that was dropped while it was read has a name of its own, too.
            self._check()
            raise
        finally:
            self._discard()
        return not limited

    def _read(self, batches: Iterator[pa.Array[Any]], writer: Background) -> None:
        """Decode all messages. What was read is let go here, before the last of it is written."""
        for batch in batches:
            slabs = [batch.slice(first, _SLAB_MESSAGES) for first in range(0, len(batch), _SLAB_MESSAGES)]
            del batch
            while slabs:
                for changes in self._reader.read(slabs.pop(0)):
                    self._decode(changes, writer)

    def _decode(self, changes: Changes, writer: Background) -> None:
        name, _ = self._known(changes.relation)
        if name in self._suspended or name in self._failed or not self.context.mappings.selects(name):
            return
        try:
            with table_errors(self.context, name):
                form = self._form(changes.relation)
                rows = images(changes, form.key, strict=self.context.settings.strict)
                batch = change_batch(form.output, changes, rows, self._notes.setdefault(name, Notes()))
        except TableError as error:
            self._failed[name] = error
            return
        files = self._files.setdefault(form.table, _TableFiles(form.table, form.prefix))
        files.counts.update(operation_counts(rows))
        writer.submit(lambda: self._write(files, batch))

    def _write(self, files: _TableFiles, batch: pa.RecordBatch) -> None:
        layout = self.context.layout
        if files.open is not None and (not files.open.takes(batch) or files.open.size >= layout.min_file_bytes):
            files.close()
        if files.open is None:
            files.open = ParquetFile(self.context.target.workspace, batch, layout)
        files.open.add(batch)

    def _publish(self, after: StreamState) -> None:
        """Files first, then the position, then the source: the order is what makes a kill harmless.

        Of a table that failed or was suspended meanwhile nothing of the cycle is written: it may have been half a
        transaction.
        """
        for name in self._files.keys() & (self._failed.keys() | self._suspended):
            self._files.pop(name).discard()
        published: list[tuple[Any, str]] = []
        for files in self._files.values():
            files.close()
            published += [(file.path, self.names.next(files.prefix)) for file in files.closed]
        self.context.target.publish(published)
        if published:
            failpoints.reach("local_dms.before_confirm")
        with self.context.store.transaction():
            self._keep(after)
            for files in self._files.values():
                self.context.store.count_changes(self.context.arn, files.name, dict(files.counts))
            for error in self._failed.values():
                suspend(self.context, error)
        self._suspended |= set(self._failed)
        for files in self._files.values():
            files.closed.clear()
        if published:
            failpoints.reach("local_dms.before_advance")
            # What a large transaction took is given back before the next one needs as much.
            pa.default_memory_pool().release_unused()
        advance_slot(self.connection, after.slot, after.durable)

    def _discard(self) -> None:
        for files in self._files.values():
            files.discard()
        self._files.clear()
        self._failed.clear()

    def _form(self, relation: Relation) -> _Form:
        if relation not in self._forms:
            self._forms[relation] = self._new_form(relation)
        return self._forms[relation]

    def _new_form(self, relation: Relation) -> _Form:
        name, known = self._known(relation)
        # The key may be another one since the table was taken up: the log names it with the rows that it is for.
        named = {column.name for column in relation.columns if column.in_key and relation.identity == _BY_KEY}
        key = named or set(known)
        columns = self._columns(name, relation)
        target = self.context.mappings.apply(name, [column.name for column in columns])
        return _Form(
            table=name,
            prefix=table_prefix(self.context.layout.folder, target.schema, target.table),
            key=tuple(place for place, column in enumerate(columns) if column.name in key),
            output=change_output(self.context, target, columns, self.connection),
        )

    def _known(self, relation: Relation) -> tuple[TableName, tuple[str, ...]]:
        known = self.state.tables.get(relation.oid)
        if known is None:
            raise TaskError(
                f"The log has changes of {relation.schema}.{relation.table}, which is not a table of this task: its "
                "publication was changed from outside. Start the task with reload-target."
            )
        return known

    def _columns(self, name: TableName, relation: Relation) -> Sequence[SourceColumn]:
        try:
            types = read_types(self.connection, [column.type_oid for column in relation.columns])
        except TaskError as error:
            raise TableError(name, str(error)) from error
        return [
            SourceColumn(
                column.name,
                types[column.type_oid],
                column.typmod if column.typmod >= 0 else types[column.type_oid].domain_typmod,
            )
            for column in relation.columns
        ]
