"""The results of reconciliations, with their history: a document for each table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dms_assets.lake.object_store import ObjectStore
from dms_assets.lake.state_document import StateDocument
from dms_assets.model.names import TableName
from dms_assets.reconcile.result import ReconciliationResult

FORMAT = 1
KEPT = 200
"""Results of a table that are kept, the newest."""


class ReconciliationStore:
    """The results of one source's tables."""

    def __init__(self, state: ObjectStore, source: str) -> None:
        self._state = state
        self._prefix = f"reconciliations/{source}/"

    def _document(self, table: TableName) -> StateDocument:
        return StateDocument(self._state, f"{self._prefix}{table}.json", format=FORMAT)

    def record(self, result: ReconciliationResult) -> None:
        """Add a result, once: an answer of the store may be lost, and the edit then be made to its own effect."""
        row = result.to_json()

        def edit(data: dict[str, Any] | None) -> dict[str, Any]:
            before = data["results"] if data else []
            return {"results": before if row in before else [*before, row][-KEPT:]}

        self._document(result.table).change(edit)

    def history(self, table: TableName) -> tuple[ReconciliationResult, ...]:
        """The results of a table, oldest first."""
        data = self._document(table).read()
        return tuple(ReconciliationResult.from_json(row) for row in data["results"]) if data else ()

    def tables(self) -> list[TableName]:
        """The tables that have results."""
        keys = sorted(meta.key for meta in self._state.list(self._prefix))
        return [TableName.parse(key.removeprefix(self._prefix).removesuffix(".json")) for key in keys]


def read_last_reconciliation(state: ObjectStore, source: str) -> Mapping[TableName, ReconciliationResult]:
    """The last result of each table that was really compared; tables that never were are left out."""
    store = ReconciliationStore(state, source)
    found = {name: [result for result in store.history(name) if result.compared] for name in store.tables()}
    return {name: results[-1] for name, results in found.items() if results}
