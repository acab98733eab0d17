"""Immutable versions of a table's metadata: one document each, in order of appearance, never changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from dms_assets.lake.object_store import ObjectStore, PreconditionFailedError
from dms_assets.model.failpoints import reach
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import TableMetadata


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One stored version: its place in the order (from 1), when it was recorded, and the metadata."""

    ordinal: int
    recorded_at: datetime
    metadata: TableMetadata


class VersionStore:
    """The versions of all tables of one source, in documents `metadata/<source>/<schema>.<table>/<ordinal>.json`.

    A table that goes back to an earlier shape gets a new ordinal with the old version's name.
    """

    def __init__(self, store: ObjectStore, source: str) -> None:
        self._store = store
        self._source = source

    def _prefix(self, table: TableName) -> str:
        return f"metadata/{self._source}/{table}/"

    def _read(self, key: str) -> StoredVersion:
        document = json.loads(self._store.get(key)[0])
        ordinal = int(key.rsplit("/", 1)[1].removesuffix(".json"))
        recorded = datetime.fromisoformat(document["recorded_at"])
        return StoredVersion(ordinal, recorded, TableMetadata.from_json(document["metadata"]))

    def _keys(self, table: TableName) -> list[str]:
        return sorted(meta.key for meta in self._store.list(self._prefix(table)))

    def current(self, table: TableName) -> StoredVersion | None:
        """The newest version of a table, None before the first."""
        keys = self._keys(table)
        return self._read(keys[-1]) if keys else None

    def history(self, table: TableName) -> list[StoredVersion]:
        """All versions of a table, oldest first."""
        return [self._read(key) for key in self._keys(table)]

    def record(self, metadata: TableMetadata, now: datetime) -> tuple[StoredVersion, StoredVersion | None]:
        """Store the metadata if it differs from the newest version; the version in force and the one it replaced.

        The second is None if nothing was stored or there was none before. Two writers cannot take one ordinal: the
        slower one looks again.
        """
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
