"""The identity of a row of the change log, `_change_id`: 16 bytes that redelivered copies of a change share.

| row | digest of |
|---|---|
| of a load | L, load id, key |
| change, positions unique | C, stream, key, commit time, position, operation, content |
| change, positions not unique | T, stream, key, commit time, position: a transaction's changes of a key |
| of a table without a key | K, landing key, ETag, LastModified, file row: every row is its own |

`change_id` is the definition, a row at a time; `change_identity_arrow.change_ids` does the same for a whole file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from dms_assets.model.canonical_bytes import encode, encode_content, integer, string
from dms_assets.model.landed_file import FileIdentity
from dms_assets.model.logical_type import Kind, LogicalType
from dms_assets.model.table_metadata import TableMetadata

ID_BYTES = 16
COMMIT_TYPE = LogicalType(Kind.TIMESTAMPTZ)
POSITION_TYPE = LogicalType(Kind.STRING)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the rows of one landed file come from. `load_id` is None for a file of changes."""

    file: FileIdentity
    stream: int
    load_id: str | None


class PositionMissingError(ValueError):
    """A source that declares unique positions delivered a change without one."""

    def __init__(self, file: str) -> None:
        super().__init__(
            f"{file} has a change without a stream position, but the source declares positions to be unique per "
            "change; add the position column to the task, or set unique_positions: false"
        )


def id_prefix(metadata: TableMetadata, origin: Origin, *, unique_positions: bool) -> bytes:
    """The part of the identity that all rows of a file have in common."""
    if not metadata.key:
        file = origin.file
        return string("K") + string(file.key) + string(file.etag) + string(file.last_modified)
    if origin.load_id is not None:
        return string("L") + string(origin.load_id)
    return string("C" if unique_positions else "T") + integer(origin.stream)


def change_id(
    metadata: TableMetadata,
    origin: Origin,
    *,
    unique_positions: bool,
    op: str,
    content: tuple[object, ...],
    commit_at: datetime,
    position: str | None,
    file_row: int,
) -> bytes:
    """The identity of one row; `content` is in the order of the metadata's columns.

    Raises PositionMissingError for a change without position where positions are unique.
    """
    parts = [id_prefix(metadata, origin, unique_positions=unique_positions)]
    columns = [(column.name, column.type, value) for column, value in zip(metadata.columns, content, strict=True)]
    if not metadata.key:
        parts.append(integer(file_row))
    else:
        by_name = {name: (value, logical_type) for name, logical_type, value in columns}
        parts += [encode(*by_name[name]) for name in metadata.key]
        if origin.load_id is None:
            if unique_positions and position is None:
                raise PositionMissingError(origin.file.key)
            parts += [encode(commit_at, COMMIT_TYPE), encode(position, POSITION_TYPE)]
            if unique_positions:
                parts += [string(op), encode_content(columns)]
    return hashlib.sha256(b"".join(parts)).digest()[:ID_BYTES]
