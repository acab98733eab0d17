"""One Parquet file on its way: rows gathered into row groups, written in the workspace."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dms_assets.local_dms.files.layout import FileLayout

_MAX_GROUP_BYTES = 32 << 20
_SYNC_BYTES = 32 << 20
_LARGE_BYTES = 1 << 20


class ParquetFile:
    """An open file. `rows` and `size` (bytes in memory, as DMS measures them) count what was added."""

    def __init__(self, workspace: Path, first: pa.RecordBatch, layout: FileLayout) -> None:
        """A file for rows like `first`, which are not added yet."""
        self.path = workspace / f"{uuid.uuid4().hex}.parquet"
        self.schema = schema = first.schema
        self.large = large_columns(first)
        self.rows = 0
        self.size = 0
        self._layout = layout
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0
        self._held_bytes = 0
        self._unsynced = 0
        chosen: Any = self._dictionary()  # The stubs know a boolean only.
        self._writer = pq.ParquetWriter(self.path, schema, use_dictionary=chosen, **self._options())

    def _options(self) -> dict[str, Any]:
        """The endpoint's options. Statistics of a large value are several copies of it, and say nothing."""
        options = dict(self._layout.writer)
        if options.get("write_statistics") and self.large:
            options["write_statistics"] = [name for name in self.schema.names if name not in self.large]
        return options

    def takes(self, batch: pa.RecordBatch) -> bool:
        """Whether rows fit into this file: the same form, and no large values in columns that it has none of."""
        return bool(self.schema == batch.schema) and large_columns(batch) <= self.large

    def _dictionary(self) -> list[str]:
        """Columns with a dictionary: numbers and times rarely repeat enough within a row group to pay for one."""
        return [f.name for f in self.schema if self._layout.dictionary and pa.types.is_string(f.type)]

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows; whole row groups are written, the rest waits (up to some megabytes)."""
        self._held.append(batch)
        self._held_rows += batch.num_rows
        self._held_bytes += batch.nbytes
        self.rows += batch.num_rows
        self.size += batch.nbytes
        groups = self._held_rows // self._layout.row_group_rows
        if groups or self._held_bytes >= _MAX_GROUP_BYTES:
            self._write(groups * self._layout.row_group_rows or self._held_rows)

    def _write(self, rows: int) -> None:
        table = pa.Table.from_batches(self._held, self.schema)
        self._writer.write_table(table.slice(0, rows), row_group_size=self._layout.row_group_rows)
        self._write_behind(table.nbytes)
        rest = table.slice(rows)
        self._held = rest.to_batches() if rest.num_rows else []
        self._held_rows, self._held_bytes = rest.num_rows, rest.nbytes

    def _write_behind(self, written: int) -> None:
        """Push what is written to the disk while rows are still decoded: the sync at the end has less to wait for."""
        self._unsynced += written
        if self._unsynced < _SYNC_BYTES:
            return
        self._unsynced = 0
        handle = os.open(self.path, os.O_RDONLY)
        try:
            os.fdatasync(handle)
        finally:
            os.close(handle)

    def close(self) -> Path:
        """Write what waits and the footer; the file is complete, and not yet durable."""
        if self._held_rows:
            self._write(self._held_rows)
        self._writer.close()
        return self.path

    def discard(self) -> None:
        """Give the file up."""
        self._held = []
        try:
            self._writer.close()
        finally:
            # On a full disk even the footer cannot be written, and the room is needed.
            self.path.unlink(missing_ok=True)


def large_columns(batch: pa.RecordBatch) -> frozenset[str]:
    """Columns with a value of more than a megabyte."""
    found: set[str] = set()
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        some: Any = column
        if column.nbytes > _LARGE_BYTES and (pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
            longest = pc.max(pc.binary_length(some)).as_py()
            if longest is not None and longest > _LARGE_BYTES:
                found.add(name)
    return frozenset(found)


def field(name: str, kind: pa.DataType, *, required: bool = False) -> pa.Field[Any]:
    """A column of a file; all are optional but the timestamp column (dms.md 1.7)."""
    return pa.field(name, kind, nullable=not required)
