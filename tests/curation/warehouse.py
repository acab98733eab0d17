"""One curated table in a database in memory, kept as dbt would keep it, by the statements that dbt runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from dms_assets.model.change_log import Row
from dms_assets.model.load import Load
from dms_assets.model.table_metadata import TableMetadata
from tests.curation.rendered import Rendered
from tests.strategies.change_log import validated_table

_LOADS_TYPES: dict[str, pa.DataType] = {
    "load_id": pa.string(),
    "stream": pa.int64(),
    "boundary_at": pa.timestamp("us", tz="UTC"),
    "boundary_seq": pa.string(),
}
_LOADS_SCHEMA = pa.schema(_LOADS_TYPES)


class Warehouse:
    """The rows a query gives are counted, and made comparable by `normal`."""

    def __init__(self, rendered: Rendered, table: TableMetadata) -> None:
        self.rendered, self.table = rendered, table
        self.validated, self.curated = (f"warehouse.{schema}.{table.name.table}" for schema in rendered.schemas)
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute("attach ':memory:' as warehouse; set TimeZone = 'UTC'")
        for schema in rendered.schemas:
            self.connection.execute(f"create schema warehouse.{schema}")
        self.reset()

    def reset(self) -> None:
        """An empty table, nothing built."""
        self.built = False
        self._replace(self.validated, validated_table([], self.table))
        self._replace(f"{self.validated}__loads", _LOADS_SCHEMA.empty_table())
        self.connection.execute(f"drop table if exists {self.curated}_versions cascade")

    def append(self, rows: Sequence[Row], loads: Sequence[Load]) -> None:
        """Commit a batch of rows, with all loads that are visible from then on."""
        self.connection.register("arrived", validated_table(rows, self.table))
        self.connection.execute(f"insert into {self.validated} from arrived")
        visible = [{name: getattr(load, name) for name in _LOADS_SCHEMA.names} for load in loads]
        self._replace(f"{self.validated}__loads", pa.Table.from_pylist(visible, schema=_LOADS_SCHEMA))

    def build(self) -> None:
        """What `dbt build` does: the first time all of it, then an increment."""
        if self.built:
            self.connection.execute(f"create or replace temp table increment as {self.rendered.increment}")
            self.connection.execute(self.rendered.merged("increment"))
            return
        self.connection.execute(f"create table {self.curated}_versions as {self.rendered.first}")
        self.connection.execute(f"create or replace view {self.curated}_history as {self.rendered.history}")
        self.connection.execute(f"create or replace view {self.curated} as {self.rendered.current}")
        self.built = True

    def history(self) -> Counter[tuple[object, ...]]:
        return self._rows(f"from {self.curated}_history")

    def current(self) -> Counter[tuple[object, ...]]:
        return self._rows(f"from {self.curated}")

    def versions(self) -> Counter[tuple[object, ...]]:
        return self._rows(f"from {self.curated}_versions")

    def rebuilt(self) -> Counter[tuple[object, ...]]:
        """The versions as a full refresh would make them."""
        return self._rows(self.rendered.first)

    def _rows(self, sql: str) -> Counter[tuple[object, ...]]:
        return Counter(normal(row) for row in self.connection.execute(sql).fetchall())

    def _replace(self, relation: str, content: pa.Table) -> None:
        self.connection.register("content", content)
        self.connection.execute(f"create or replace table {relation} as from content")


def normal(row: Sequence[object]) -> tuple[object, ...]:
    """A row of comparable values: NaN equals NaN, minus zero is zero, times in UTC."""

    def one(value: object) -> object:
        if isinstance(value, float):
            return "NaN" if math.isnan(value) else value + 0.0
        return value.astimezone(UTC) if isinstance(value, datetime) else value

    return tuple(one(value) for value in row)
