"""Every type through load, insert, update and null, as far as curated.

Three say what is right: the source in its own SQL, for every change (its text, or the published rule of the comparison
with curated tables); the comparison itself, for the rows as they are then; and values written down by hand.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from dms_assets.model.names import Layer, TableName, quote, warehouse_schema
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.reconcile.comparable_text import curated_text, source_text
from dms_assets.reconcile.compare import open_warehouse, relation_types
from dms_assets.reconcile.normalisation import SOURCE_SESSION, normalisation
from dms_assets.reconcile.postgres_columns import postgres_columns
from tests.local_dms.to_curated import SCHEMA, SOURCE, ToCurated
from tests.local_dms.type_values import all_types
from tests.local_dms.values import TYPES

TABLE = TableName("app", "t")
NOT_TYPES = ("id", "touched")
LOAD, INSERT, UPDATE, TO_NULL = "load", "insert", "update", "null"
FIRST = {LOAD: 0, INSERT: 1_000, UPDATE: 2_000, TO_NULL: 3_000}
"""First key of the rows of each way in; value n is at n after it, and the last one has nothing but nulls."""

CLASSES = (
    "create type app.mood as enum ('sad', 'very happy')",
    "create type app.kind as enum ('', 'a')",
    "create domain app.positive as integer check (value > 0)",
    "create domain app.amount as numeric(10,2)",
    "create domain app.numbers as integer[]",
    "create domain app.address as varchar(30)",
    "create type app.pair as (a integer, b text)",
    "create type app.nested as (p app.pair, n integer[])",
    "create type app.stretch as range (subtype = float8)",
)
BASE_TYPES = """
select format_type(oid, null) from pg_type
where typtype = 'b' and typnamespace = 'pg_catalog'::regnamespace
  and (typcategory <> 'A' or typname in ('int2vector', 'oidvector'))
"""


@dataclass
class Matrix:
    """What became of every value. `cells` counts those compared by way in; `wrong` names those that differ.

    `rules` counts types by the published rule of the comparison that holds for them, and values that a rule makes null.
    `control` is what is said when one value of the source is changed in the comparison, `reconciled_control` when it is
    changed behind the platform's back: just that one.
    """

    cells: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    control: list[str] = field(default_factory=list)
    reconciled_control: list[str] = field(default_factory=list)
    rules: Counter[str] = field(default_factory=Counter)
    nulled: int = 0
    written: int = 0
    """Values compared with what was written down by hand."""
    rows: int = 0
    types: int = 0
    missing: tuple[str, ...] = ()


def missing_base_types(source: psycopg.Connection[Any]) -> set[str]:
    """Base types of this server that the matrix has no column of."""
    known = {
        row[0]
        for name in all_types()
        if not name.startswith("app.") and not name.endswith("[]")
        for row in source.execute("select format_type(to_regtype(%s)::oid, null)", [name])
    }
    return {row[0] for row in source.execute(BASE_TYPES)} - known


def make_table(source: psycopg.Connection[Any]) -> None:
    """The table, with rows to load and rows to be updated."""
    types = all_types()
    for statement in CLASSES:
        source.execute(statement.encode())
    columns = ", ".join(f"c{n} {name}" for n, name in enumerate(types))
    source.execute(f"create table app.t (id integer primary key, touched integer, {columns})".encode())
    # Large values that an update leaves alone are in the log only in this way.
    source.execute("alter table app.t replica identity full")
    _fill(source, FIRST[LOAD])
    _fill(source, FIRST[TO_NULL])
    source.execute("insert into app.t (id) select id + %s from app.t where id < 1000", [FIRST[UPDATE]])


def _fill(source: psycopg.Connection[Any], first: int) -> None:
    types = all_types()
    for place in range(max(map(len, types.values())) + 1):
        given = [(f"c{n}", literals[place]) for n, literals in enumerate(types.values()) if place < len(literals)]
        names = ", ".join(["id", *(name for name, _ in given)])
        marks = ", ".join(["%s"] * (len(given) + 1))
        source.execute(
            f"insert into app.t ({names}) values ({marks})".encode(), [first + place, *(v for _, v in given)]
        )


def change_rows(source: psycopg.Connection[Any]) -> None:
    """The same values as inserts and as updates; values to null; and an update that leaves them as they are."""
    names = [f"c{n}" for n in range(len(all_types()))]
    _fill(source, FIRST[INSERT])
    given = ", ".join(f"{name} = s.{name}" for name in names)
    source.execute(
        f"update app.t t set {given} from app.t s where s.id < 1000 and t.id = s.id + {FIRST[UPDATE]}".encode()
    )
    nulls = ", ".join(f"{name} = null" for name in names)
    source.execute(f"update app.t set {nulls} where id >= {FIRST[TO_NULL]}".encode())
    source.execute("update app.t set touched = 1 where id < 1000")


def source_texts(source: psycopg.Connection[Any], metadata: TableMetadata) -> dict[int, dict[str, str | None]]:
    """What each value is, by key and column."""
    for statement in SOURCE_SESSION:
        source.execute(statement.encode())
    (columns,) = postgres_columns(source, [metadata]).values()
    texts = ", ".join(f"{source_text(column)} as {quote(column.name)}" for column in columns)
    cursor = source.execute(f"select {texts} from app.t".encode())
    names = [column.name for column in cursor.description or []]
    return {int(row[0]): dict(zip(names, row, strict=True)) for row in cursor.fetchall()}


def _read(world: ToCurated, metadata: TableMetadata, where: str) -> list[dict[str, Any]]:
    """Comparable texts of changes in curated, made by DuckDB, in the order of the log."""
    schema = warehouse_schema(SOURCE, SCHEMA, Layer.CURATED)
    with open_warehouse(world.installation.environment.published_file) as connection:
        types = relation_types(connection, schema, "t_versions")
        texts = ", ".join(f"{curated_text(c.name, types[c.name])} as {quote(c.name)}" for c in metadata.columns)
        rows = connection.sql(f"select {texts} from {schema}.t_versions where {where} order by _seq")
        return list(rows.to_arrow_table().to_pylist())


def run_matrix(folder: Path) -> Matrix:
    """All types, all ways in."""
    matrix = Matrix(types=len(all_types()))
    with ToCurated(folder, ["t"]) as world:
        make_table(world.source)
        matrix.missing = tuple(sorted(missing_base_types(world.source)))
        world.read_metadata()
        metadata = world.tables[TABLE]
        world.start()
        world.ingest()
        world.build()
        before = source_texts(world.source, metadata)
        change_rows(world.source)
        after = source_texts(world.source, metadata)
        world.captured()
        world.ingest()
        matrix.wrong += [world.quarantine.report(entry).text() for entry in world.quarantine.entries()]
        world.build()
        _count_rules(matrix, world.source, metadata)
        _compare(matrix, LOAD, _read(world, metadata, "_op = 'L'"), before)
        changes = _read(world, metadata, "_op in ('I', 'U')")
        _compare(matrix, "change", changes, after)
        _compare_written(matrix, world)
        found = world.unequal(world.state())
        matrix.wrong += [f"reconciliation: {table.to_json()}" for table in found.values()]
        matrix.rows = len(after)
        after[FIRST[INSERT]]["c1"] = "0"
        changed = Matrix()
        _compare(changed, "change", changes, after)
        matrix.control = changed.wrong
        world.stop()
        world.source.execute("update app.t set c1 = 0 where id = %s", [FIRST[INSERT]])
        matrix.reconciled_control = [
            str(difference) for table in world.unequal(world.state()).values() for difference in table.differences
        ]
    return matrix


def _count_rules(matrix: Matrix, source: psycopg.Connection[Any], metadata: TableMetadata) -> None:
    """The rule of each type, and the values that are null by it."""
    (columns,) = postgres_columns(source, [metadata]).values()
    for column in columns:
        if column.name not in NOT_TYPES:
            rule = normalisation(column)
            matrix.rules[rule.name if rule else "equal bit for bit"] += 1
            nulled = f"select count({quote(column.name)}) - count({source_text(column)}) from app.t"
            ((count,),) = source.execute(nulled.encode()).fetchall()
            matrix.nulled += count


def _compare_written(matrix: Matrix, world: ToCurated) -> None:
    """What curated has, against values written down by hand: they know of no rule."""
    schema = warehouse_schema(SOURCE, SCHEMA, Layer.CURATED)
    with open_warehouse(world.installation.environment.published_file) as connection:
        for n, (name, literals, expected) in enumerate(TYPES):
            for place in range(len(literals) if expected else 0):
                keys = [first + place for way, first in FIRST.items() if way != TO_NULL]
                query = f"select c{n} from {schema}.t where id in ({', '.join(map(str, keys))})"
                found = [_plain(value) for (value,) in connection.execute(query).fetchall()]
                wanted = [_plain(expected[place]) if expected else None] * len(keys)
                matrix.written += len(found)
                if found != wanted:
                    matrix.wrong.append(f"{name}: {found!r}, written down is {wanted!r}")


def _plain(value: Any) -> Any:
    """Timestamps in UTC, without saying so: columns without a zone hold them so."""
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value


def _compare(matrix: Matrix, way: str, rows: list[dict[str, Any]], wanted: dict[int, dict[str, str | None]]) -> None:
    types = list(all_types())
    for row in rows:
        key = int(row["id"])
        # Of the rows that a change touched without touching their values, the values are as in the load.
        seen = way if way == LOAD or key < FIRST[INSERT] else [w for w, first in FIRST.items() if key >= first][-1]
        for n, name in enumerate(types):
            found, right = row[f"c{n}"], wanted[key][f"c{n}"]
            matrix.cells[f"{seen}, null" if right is None and seen != TO_NULL else seen] += 1
            if found != right:
                matrix.wrong.append(f"{name} by {seen}: {found!r}, not {right!r}")
    missing = wanted.keys() - {int(row["id"]) for row in rows}
    matrix.wrong += [f"row {key} by {way} is missing" for key in sorted(missing)]
