"""Landed files: the strict grammar of DMS object keys, and what identifies one delivery of a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dms_assets.model.names import TableName

_LOAD_NAME = re.compile(r"LOAD([0-9A-F]{8})\.parquet")
_CDC_NAME = re.compile(r"([0-9]{8}-[0-9]{9,10})\.parquet")
_PART = re.compile(r"[^/\\\x00-\x1f]{1,255}")


class FileKind(StrEnum):
    """What DMS wrote the file for."""

    LOAD = "LOAD"
    CDC = "CDC"


@dataclass(frozen=True, slots=True, order=True)
class LandingKey:
    """A parsed landing key, `[folder/]schema/table/<file name>` (DMS: dms.md 1.1)."""

    folder: str
    table: TableName
    kind: FileKind
    file_name: str

    def __str__(self) -> str:
        prefix = f"{self.folder}/" if self.folder else ""
        return f"{prefix}{self.table.schema}/{self.table.table}/{self.file_name}"


@dataclass(frozen=True, slots=True, order=True)
class FileIdentity:
    """One delivery of a file: a reload re-uses keys and an unchanged table re-uses bytes, so all three count."""

    key: str
    etag: str
    last_modified: str
    """UTC, ISO 8601, microseconds, as the response that delivered the bytes gave it."""


@dataclass(frozen=True, slots=True)
class LandedFile:
    """A file seen in landing."""

    identity: FileIdentity
    size: int
    parsed: LandingKey

    @property
    def last_modified(self) -> datetime:
        """When the store says it was written (aware, UTC)."""
        return datetime.fromisoformat(self.identity.last_modified)


def parse_key(key: str, folder: str) -> LandingKey | None:
    """The key's parts, or None if it is not exactly a key that DMS writes below `folder` ('' for the bucket root)."""
    prefix = f"{folder}/" if folder else ""
    if not key.startswith(prefix):
        return None
    parts = key.removeprefix(prefix).split("/")
    if len(parts) != 3 or not all(_PART.fullmatch(part) and part not in {".", ".."} for part in parts):
        return None
    schema, table, file_name = parts
    if _LOAD_NAME.fullmatch(file_name):
        kind = FileKind.LOAD
    elif _CDC_NAME.fullmatch(file_name):
        kind = FileKind.CDC
    else:
        return None
    return LandingKey(folder, TableName(schema, table), kind, file_name)


def load_file_name(number: int) -> str:
    """`LOAD0000000A.parquet` for 10: eight upper-case hexadecimal digits, from 1 per load."""
    return f"LOAD{number:08X}.parquet"


def cdc_file_name(at: datetime) -> str:
    """`20261122-081523123.parquet`: when the file was made, UTC, milliseconds."""
    return f"{at:%Y%m%d-%H%M%S}{at.microsecond // 1000:03d}.parquet"
