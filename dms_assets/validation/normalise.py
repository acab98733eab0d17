"""Landed rows -> rows of the validated table."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from dms_assets.model.change_columns import (
    BATCH,
    CHANGE_ID,
    COMMIT_AT,
    FILE,
    FILE_ROW,
    LOAD_ID,
    LOAD_OP,
    METADATA_VERSION,
    OP,
    POSITION,
    SEQ,
    STREAM,
)
from dms_assets.model.change_identity import Origin
from dms_assets.model.change_identity_arrow import change_ids
from dms_assets.model.landed_file import FileKind
from dms_assets.model.stored_schema import stored_schema
from dms_assets.validation.messages import FileTask, TableTask

_UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")


def normalise(
    landed: pa.RecordBatch, committed: pa.Array[Any], table: TableTask, *, file: FileTask, first_row: int, batch: int
) -> pa.Table:
    """The rows of one landed batch, in the stored schema of the table.

    `landed` has passed every rule and has canonical types; columns that it may lack are null. `committed` are the rows'
    commit times, `first_row` is the ordinal of the first row in the file, `batch` the number of the batch they will be
    committed in.
    """
    rows = landed.num_rows
    landed_names = set(landed.schema.names)
    columns: dict[str, Any] = {
        column.name: landed.column(column.name)
        if column.name in landed_names
        else pa.array([None] * rows, column.type.arrow)
        for column in table.metadata.columns
    }
    columns |= _change_columns(landed, committed, file, table)
    columns |= {
        STREAM: pa.repeat(file.stream, rows),
        FILE: pa.repeat(file.identity.key, rows),
        FILE_ROW: pa.array(range(first_row, first_row + rows), pa.int64()),
        BATCH: pa.repeat(batch, rows),
        METADATA_VERSION: pa.repeat(table.metadata.version, rows),
    }
    origin = Origin(file.identity, file.stream, file.load_id)
    ids = change_ids(pa.table(columns), table.metadata, origin, unique_positions=table.unique_positions)
    schema = stored_schema(table.metadata)
    columns[CHANGE_ID] = ids
    return pa.Table.from_arrays([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)


def _change_columns(
    landed: pa.RecordBatch, committed: pa.Array[Any], file: FileTask, table: TableTask
) -> dict[str, Any]:
    rows = landed.num_rows
    none = pa.nulls(rows, pa.string())
    if file.kind is FileKind.LOAD:
        return {
            OP: pa.repeat(LOAD_OP, rows),
            SEQ: none,
            COMMIT_AT: pa.repeat(pa.scalar(file.boundary_at, _UTC_MICROSECONDS), rows),
            POSITION: none,
            LOAD_ID: pa.repeat(file.load_id, rows),
        }
    names = table.columns
    return {
        OP: landed.column(names.op),
        SEQ: landed.column(names.seq) if names.seq else none,
        COMMIT_AT: committed.cast(pa.timestamp("us")).view(_UTC_MICROSECONDS),
        POSITION: landed.column(names.position) if names.position else none,
        LOAD_ID: none,
    }
