"""Queries on curated tables: what held at an instant, and what holds now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from dms_assets.curation.generate import HISTORY
from dms_assets.curation.history_columns import HistoryColumns
from dms_assets.model.names import Layer, TableName, quote, warehouse_schema


def as_of_sql(
    source: str,
    name: TableName,
    columns: Sequence[str],
    at: datetime | None,
    history: HistoryColumns | None = None,
) -> str:
    """The SELECT of some columns of a table as of an instant (aware), or as it is now for None.

    `history` are the names that the history was built with, the defaults if not given. Raises ValueError for an
    instant without a zone.
    """
    names = history or HistoryColumns()
    selected = ", ".join(quote(column) for column in columns)
    relation = f"{quote(warehouse_schema(source, name.schema, Layer.CURATED))}.{quote(name.table + HISTORY)}"
    if at is None:
        return f"select {selected} from {relation} where {quote(names.is_current)}"
    if at.tzinfo is None:
        raise ValueError(f"instant {at.isoformat()} has no zone; give it in UTC")
    instant = f"timestamptz '{at.astimezone(UTC).isoformat()}'"
    return (
        f"select {selected} from {relation}"
        f" where {quote(names.valid_from)} <= {instant} and {instant} < {quote(names.valid_to)}"
    )
