"""Loads that will not become complete by themselves, as the last run that looked at the table found."""

from __future__ import annotations

import json

from dms_assets.lake.object_store import ObjectNotFoundError, ObjectStore
from dms_assets.model.names import TableName

FORMAT = 1


class StuckLoads:
    """One small document per table of a source, written only when what it says changes."""

    def __init__(self, store: ObjectStore, source: str) -> None:
        self._store = store
        self._source = source

    def _key(self, table: TableName) -> str:
        return f"stuck-loads/{self._source}/{table}.json"

    def reason(self, table: TableName) -> str | None:
        """Why the table's load is stuck, with the remedy; None if it is not."""
        try:
            body, _ = self._store.get(self._key(table))
        except ObjectNotFoundError:
            return None
        data = json.loads(body)
        if data.get("format") != FORMAT:
            raise ValueError(f"{self._key(table)} is of format {data.get('format')!r}; this release reads {FORMAT}")
        reason: str | None = data["reason"]
        return reason

    def record(self, table: TableName, reason: str | None) -> None:
        """Remember what a run found."""
        if self.reason(table) != reason:
            self._store.put(self._key(table), json.dumps({"format": FORMAT, "reason": reason}).encode())
