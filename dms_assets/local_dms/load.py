"""Full load of one table: every row at a snapshot, into LOAD files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import adbc_driver_manager.dbapi
import pyarrow as pa

from dms_assets.dms.table_mappings import TargetTable
from dms_assets.local_dms.column import SourceColumn
from dms_assets.local_dms.context import TaskContext, load_output, now
from dms_assets.local_dms.decode.cells import Notes
from dms_assets.local_dms.decode.rows import record_columns
from dms_assets.local_dms.files.naming import load_key, table_prefix
from dms_assets.local_dms.files.parquet_file import ParquetFile
from dms_assets.local_dms.pipeline import Background, reading_ahead
from dms_assets.local_dms.postgres.catalog import SourceTable
from dms_assets.local_dms.postgres.reading import table_rows
from dms_assets.local_dms.rows import load_batch
from dms_assets.model import failpoints


@dataclass(slots=True)
class _LoadFiles:
    """Writes the files of one load; each is made visible when it is full."""

    context: TaskContext
    prefix: str
    published: int = 0
    rows: int = 0
    file: ParquetFile | None = field(default=None)

    def add(self, batch: pa.RecordBatch) -> None:
        limit = self.context.layout.max_file_bytes
        if self.file is not None and (self.file.size + batch.nbytes > limit or not self.file.takes(batch)):
            self.publish()
        if self.file is None:
            self.file = ParquetFile(self.context.target.workspace, batch, self.context.layout)
        self.file.add(batch)
        self.rows += batch.num_rows

    def publish(self) -> None:
        if self.file is None:
            return
        path, self.file = self.file.close(), None
        self.published += 1
        self.context.target.publish([(path, load_key(self.prefix, self.published))])
        failpoints.reach("local_dms.during_load")


def load_table(
    context: TaskContext,
    connection: adbc_driver_manager.dbapi.Connection,
    table: SourceTable,
    started: datetime,
) -> int:
    """Load a table through a connection that stands at the snapshot; the number of rows.

    `started` is the task's start, used as load time if the endpoint says so. Raises TaskStoppedError when the task is
    asked to stop; published files stay.
    """
    target = context.mappings.apply(table.name, [column.name for column in table.columns])
    wanted = {source for source, _ in target.columns}
    columns = [column for column in table.columns if column.name in wanted]
    files = _LoadFiles(context, table_prefix(context.layout.folder, target.schema, target.table))
    notes = Notes()
    try:
        with (
            table_rows(connection, table.name, columns, context.options) as rows,
            reading_ahead(rows) as ahead,
            Background() as writer,
        ):
            for batch in _decoded(context, target, columns, ahead, started=started, notes=notes):
                context.check_stop()
                writer.submit(lambda batch=batch: files.add(batch))  # type: ignore[misc]
            writer.drain()
        context.judge(table.name, notes)
        files.publish()
    finally:
        if files.file is not None:
            files.file.discard()
    return files.rows


def _decoded(
    context: TaskContext,
    target: TargetTable,
    columns: Sequence[SourceColumn],
    records: Iterator[pa.Array[Any]],
    *,
    started: datetime,
    notes: Notes,
) -> Iterator[pa.RecordBatch]:
    output = load_output(context, target, columns)
    constant = context.layout.task_start_as_load_time
    for batch in records:
        yield load_batch(
            output,
            record_columns(batch, len(columns)),
            len(batch),
            moved_at=started if constant else now(),
            constant_time=constant,
            with_op=context.layout.op_in_load,
            notes=notes,
        )


def task_start(context: TaskContext) -> datetime:
    """When the task's stream began."""
    return datetime.fromtimestamp(context.fresh_start, UTC)
