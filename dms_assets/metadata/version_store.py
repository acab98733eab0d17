"""Immutable versions of a table's metadata: one document each, in order of appearance, never changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dms_assets.lake.object_store import ObjectStore, PreconditionFailedError
from dms_assets.metadata.column_names import check_column_names
from dms_assets.model.failpoints import reach
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import TableMetadata, version_of


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One stored version: its place in the order (from 1), when it was recorded, and the metadata."""

    ordinal: int
    recorded_at: datetime
    metadata: TableMetadata


class DamagedVersionError(ValueError):
    """A stored version of a table's metadata cannot be read. Other tables have their own."""

    def __init__(self, table: TableName, place: str, reason: str) -> None:
        super().__init__(
            f"the stored metadata of {table} cannot be read: {place}: {reason}; put the document back from a copy, or "
            "remove it and materialise the table's metadata asset (files written before then are judged by what is "
            "stored then). Files of the table wait in landing; other tables go on"
        )


class VersionStore:
    """The versions of all tables of one source, in documents `metadata/<source>/<schema>.<table>/<ordinal>.json`.

    A table that goes back to an earlier shape gets a new ordinal with the old version's name.
    """

    def __init__(self, store: ObjectStore, source: str) -> None:
        self._store = store
        self._source = source

    def _prefix(self, table: TableName) -> str:
        return f"metadata/{self._source}/{table}/"

    def _read(self, table: TableName, key: str) -> StoredVersion:
        body = self._store.get(key)[0]
        try:
            return _parse(table, key, json.loads(body))
        except KeyError as error:
            raise DamagedVersionError(table, f"{self._store.uri}/{key}", f"it has no {error}") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise DamagedVersionError(table, f"{self._store.uri}/{key}", str(error)) from error

    def _keys(self, table: TableName) -> list[str]:
        return sorted(meta.key for meta in self._store.list(self._prefix(table)))

    def current(self, table: TableName) -> StoredVersion | None:
        """The newest version of a table, None before the first. Raises DamagedVersionError."""
        keys = self._keys(table)
        return self._read(table, keys[-1]) if keys else None

    def history(self, table: TableName) -> list[StoredVersion]:
        """All versions of a table, oldest first. Raises DamagedVersionError."""
        return [self._read(table, key) for key in self._keys(table)]

    def record(self, metadata: TableMetadata, now: datetime) -> tuple[StoredVersion, StoredVersion | None]:
        """Store the metadata if it differs from the newest version; the version in force and the one it replaced.

        The second is None if nothing was stored or there was none before. Two writers cannot take one ordinal: the
        slower one looks again. Raises ColumnNamesError for columns that nothing behind could keep apart.
        """
        check_column_names(metadata)
        while True:
            newest = self.current(metadata.name)
            if newest is not None and newest.metadata.version == metadata.version:
                return newest, None
            stored = StoredVersion(newest.ordinal + 1 if newest else 1, now.astimezone(UTC), metadata)
            document = {
                "recorded_at": stored.recorded_at.isoformat(),
                "version": metadata.version,
                "metadata": metadata.to_json(),
            }
            key = f"{self._prefix(metadata.name)}{stored.ordinal:06d}.json"
            reach("metadata.before_version")
            try:
                self._store.put(key, json.dumps(document, indent=1, ensure_ascii=False).encode(), if_absent=True)
            except PreconditionFailedError:
                continue
            reach("metadata.after_version")
            return stored, newest


def _parse(table: TableName, key: str, document: Mapping[str, Any]) -> StoredVersion:
    content = document["metadata"]
    metadata = TableMetadata.from_json(content)
    if version_of(content) != document["version"]:
        raise ValueError(f"its content is not that of version {document['version']}, which it says it is")
    if metadata.name != table:
        raise ValueError(f"it describes {metadata.name}")
    ordinal = int(key.rsplit("/", 1)[1].removesuffix(".json"))
    return StoredVersion(ordinal, datetime.fromisoformat(document["recorded_at"]), metadata)
