"""Every type through load, insert, update and null, as far as validated Parquet read by DuckDB.

The source says what is right, in its own SQL: its text, or the published rule of the comparison with curated tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from dms_assets.metadata.reflect_postgres import reflect
from dms_assets.model.change_columns import LandingColumns
from dms_assets.model.landed_file import FileIdentity, FileKind
from dms_assets.model.names import TableName, quote
from dms_assets.model.stored_schema import stored_schema
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.reconcile.comparable_text import curated_text, source_text
from dms_assets.reconcile.normalisation import SOURCE_SESSION
from dms_assets.reconcile.postgres_columns import postgres_columns
from dms_assets.validation.file_validation import validate_file
from dms_assets.validation.messages import FileTask, TableTask
from dms_assets.validation.output import Output
from tests.local_dms.service import Service, until
from tests.local_dms.type_values import all_types

TABLE = TableName("app", "t")
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

    `control` is what is said when one value of the source is changed in the comparison: just that one.
    """

    cells: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    control: list[str] = field(default_factory=list)
    types: int = 0
    as_text: tuple[str, ...] = ()


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


def validated(paths: list[Path], metadata: TableMetadata, folder: Path, kind: FileKind) -> pa.Table:
    """The rows of landed files after validation. Raises AssertionError if one is not accepted."""
    folder.mkdir(parents=True)
    output = Output(folder / "part", stored_schema(metadata), [])
    table = TableTask(metadata, (), LandingColumns(), unique_positions=True)
    moment = datetime.now(UTC)
    load = {"load_id": "load", "boundary_at": moment} if kind is FileKind.LOAD else {}
    for path in paths:
        identity = FileIdentity(path.name, "etag", moment.isoformat())
        verdict = validate_file(FileTask(path, identity, kind, 1, **load), table, output, 1, careful=False)
        assert verdict.accepted, f"{path.name}: {[one for one in verdict.outcomes if not one.passed]}"
    output.finish()
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("*.parquet")))


def _read(rows: pa.Table, metadata: TableMetadata) -> Iterator[dict[str, Any]]:
    """Comparable texts, made by DuckDB, in the order of the log."""
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        types = dict(connection.execute("select column_name, column_type from (describe rows)").fetchall())
        texts = ", ".join(f"{curated_text(c.name, types[c.name])} as {quote(c.name)}" for c in metadata.columns)
        order = "order by _seq" if rows.column("_seq").null_count == 0 else ""
        yield from connection.sql(f"select {texts} from rows {order}").to_arrow_table().to_pylist()


def run_matrix(service: Service, source: psycopg.Connection[Any], folder: Path, name: str) -> Matrix:
    """All types, all ways in."""
    make_table(source)
    metadata = reflect(source, "app", ["t"]).tables[TABLE]
    settings = {"TargetMetadata": {"LobMaxSize": 102_400}, "FullLoadSettings": {"TargetTablePrepMode": "DO_NOTHING"}}
    arn = service.task(name, settings=settings)
    service.run(arn)
    before = source_texts(source, metadata)
    change_rows(source)
    after = source_texts(source, metadata)
    changes = len([row for row in after if row >= FIRST[INSERT]]) + len([row for row in after if row < 1000])
    # Counted in the files' footers: not every date fits into Python.
    until(lambda: sum(pq.read_metadata(path).num_rows for path in service.files(name, "t", "2")) >= changes)
    service.stop(arn)
    loads = validated(service.files(name, "t", "LOAD"), metadata, folder / "loads", FileKind.LOAD)
    logged = validated(service.files(name, "t", "2"), metadata, folder / "changes", FileKind.CDC)
    service.client.delete_replication_task(ReplicationTaskArn=arn)
    matrix = Matrix(types=len(all_types()), as_text=tuple(_as_text(metadata)))
    _compare(matrix, LOAD, list(_read(loads, metadata)), before)
    _compare(matrix, "change", list(_read(logged, metadata)), after)
    after[FIRST[INSERT]]["c1"] = "0"
    changed = Matrix()
    _compare(changed, "change", list(_read(logged, metadata)), after)
    matrix.control = changed.wrong
    return matrix


def _as_text(metadata: TableMetadata) -> Iterator[str]:
    for column, name in zip(metadata.columns[2:], all_types(), strict=True):
        if str(column.type) == "string":
            yield name


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
