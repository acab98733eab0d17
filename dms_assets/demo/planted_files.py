"""Two bad files, as a faulty transfer and a forgotten schema change would leave them in landing."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dms_assets.model.landed_file import cdc_file_name
from dms_assets.model.logical_type import Kind
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata


def _path(bucket: Path, spec: SourceSpec, table: TableName) -> Path:
    folder = bucket / spec.folder / table.schema / table.table
    folder.mkdir(parents=True, exist_ok=True)
    return folder / cdc_file_name(datetime.now(UTC))


def plant_corrupt_file(bucket: Path, spec: SourceSpec, table: TableName) -> Path:
    """A change file whose bytes are noise behind a Parquet beginning; put there whole, by rename."""
    path = _path(bucket, spec, table)
    scratch = bucket.parent / f".{path.name}.part"
    scratch.write_bytes(b"PAR1" + random.Random(1).randbytes(4_096) + b"PAR1")  # noqa: S311 noise, not a secret
    scratch.rename(path)
    return path


def plant_retyped_file(bucket: Path, spec: SourceSpec, metadata: TableMetadata) -> tuple[Path, str]:
    """A change file, right in all but one column, which became text; its path and that column.

    Raises LookupError if the table has no whole-number column.
    """
    retyped = next((c.name for c in metadata.columns if c.type.kind in {Kind.INT16, Kind.INT32, Kind.INT64}), None)
    if retyped is None:
        raise LookupError(f"table {metadata.name} has no whole-number column to retype")
    added = spec.dms.columns
    fields: list[pa.Field[Any]] = [pa.field(added.op, pa.string()), pa.field(added.timestamp, pa.string())]
    for column in metadata.columns:
        type_: pa.DataType = pa.string() if column.name == retyped else column.type.arrow
        fields.append(pa.field(column.name, type_))
    fields += [pa.field(name, pa.string()) for name in (added.seq, added.position) if name is not None]
    row = {added.op: "D", added.timestamp: f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"}
    path = _path(bucket, spec, metadata.name)
    scratch = bucket.parent / f".{path.name}.part"
    pq.write_table(pa.Table.from_pylist([row], pa.schema(fields)), scratch, store_schema=False)
    scratch.rename(path)
    return path, retyped
