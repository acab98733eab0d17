"""Columns around the data: those DMS adds in landing, and those the platform adds in the validated change log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dms_assets.model.table_metadata import TableMetadata

OP, STREAM, SEQ, COMMIT_AT, POSITION = "_op", "_stream", "_seq", "_commit_at", "_position"
LOAD_ID, FILE, FILE_ROW = "_load_id", "_file", "_file_row"
CHANGE_ID, BATCH, METADATA_VERSION = "_change_id", "_batch", "_metadata_version"

LOAD_OP, INSERT_OP, UPDATE_OP, DELETE_OP = "L", "I", "U", "D"

PLATFORM_FIELDS: tuple[pa.Field[Any], ...] = (
    pa.field(OP, pa.string(), nullable=False),
    pa.field(STREAM, pa.int64(), nullable=False),
    pa.field(SEQ, pa.string()),
    pa.field(COMMIT_AT, pa.timestamp("us", tz="UTC"), nullable=False),
    pa.field(POSITION, pa.string()),
    pa.field(LOAD_ID, pa.string()),
    pa.field(FILE, pa.string(), nullable=False),
    pa.field(FILE_ROW, pa.int64(), nullable=False),
    pa.field(CHANGE_ID, pa.binary(), nullable=False),
    pa.field(BATCH, pa.int64(), nullable=False),
    pa.field(METADATA_VERSION, pa.string(), nullable=False),
)


@dataclass(frozen=True, slots=True)
class LandingColumns:
    """Names of the columns DMS adds to a file. `seq` and `position` are None for buckets filled without them.

    `Op` is absent in LOAD files by default (dms.md 1.5); all are strings, the timestamp as
    `yyyy-MM-dd HH:mm:ss.SSSSSS` without zone (UTC).
    """

    op: str = "Op"
    timestamp: str = "dms_timestamp"
    seq: str | None = "dms_change_seq"
    position: str | None = "dms_stream_position"


def validated_schema(metadata: TableMetadata) -> pa.Schema:
    """Arrow schema of the validated table: source columns (all nullable: a delete has only its key), then ours."""
    source = [pa.field(column.name, column.type.arrow) for column in metadata.columns]
    return pa.schema([*source, *PLATFORM_FIELDS])
