"""Every type: the same value in load and change, equal to what PostgreSQL says or to a stated rule."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from dms_assets.local_dms.postgres.catalog import read_tables
from dms_assets.model.logical_type import Kind
from dms_assets.model.names import TableName
from dms_assets.model.postgres_types import postgres_type
from tests.local_dms.service import ADDED, Service, until
from tests.local_dms.values import TYPES

pytestmark = pytest.mark.postgres


@pytest.fixture
def typed(source: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    source.execute("create type app.mood as enum ('sad', 'very happy')")
    source.execute("create domain app.positive as integer check (value > 0)")
    source.execute("create domain app.amount as numeric(10,2)")
    source.execute("create domain app.numbers as integer[]")
    source.execute("create type app.pair as (a integer, b text)")
    columns = ", ".join(f"c{n} {kind}" for n, (kind, _, _) in enumerate(TYPES))
    source.execute(f"create table app.t (id integer primary key, touched integer default 0, {columns})")
    for row in range(max(len(literals) for _, literals, _ in TYPES) + 1):
        names, values = ["id"], [str(row)]
        for n, (_, literals, _) in enumerate(TYPES):
            if row < len(literals):
                names.append(f"c{n}")
                values.append(literals[row])
        marks = ", ".join(["%s"] * len(values))
        source.execute(f"insert into app.t ({', '.join(names)}) values ({marks})", values)
    return source


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    return bool(left == right)


def _printed(value: Any, text: str | None, kind: Kind) -> Any:
    """What PostgreSQL prints, as the type of the column."""
    if text is None:
        return None
    if kind in {Kind.FLOAT32, Kind.FLOAT64}:
        return float(text)
    return Decimal(text) if kind is Kind.DECIMAL else text


def test_load_and_change_hold_the_same_right_values(shared: Service, typed: psycopg.Connection[Any]) -> None:
    settings = {"TargetMetadata": {"LobMaxSize": 102_400}, "FullLoadSettings": {"TargetTablePrepMode": "DO_NOTHING"}}
    arn = shared.task("types", settings=settings)
    shared.run(arn)
    typed.execute("update app.t set touched = 1")
    shared.stop(arn)
    loads = {row["id"]: row for row in shared.loads("types", "t")}
    changes = {row["id"]: row for row in shared.changes("types", "t")}
    assert len(changes) == len(loads) > 8
    (load_file,), (change_file, *_) = shared.files("types", "t", "LOAD"), shared.files("types", "t", "2")
    load_schema, change_schema = pq.read_schema(load_file), pq.read_schema(change_file)
    (table,) = read_tables(typed, [TableName("app", "t")])
    wrong: list[str] = []
    for n, (kind, literals, expected) in enumerate(TYPES):
        name, column = f"c{n}", next(c for c in table.columns if c.name == f"c{n}")
        declared, _ = postgres_type(column.type.name, column.typmod, column.type.typtype, column.type.category)
        wanted = "timestamp[us, tz=UTC]" if declared.kind is Kind.TIMESTAMP else str(declared.arrow)
        if not (str(load_schema.field(name).type) == str(change_schema.field(name).type) == wanted):
            wrong.append(f"{kind}: {load_schema.field(name).type}, {change_schema.field(name).type}, not {wanted}")
        for row in range(len(loads)):
            text = typed.execute(
                f"select textin({column.type.output}({name})) from app.t where id = %s", [row]
            ).fetchone()[0]
            given = expected[row] if expected and row < len(literals) else _printed(None, text, declared.kind)
            if declared.kind is Kind.FLOAT32 and given is not None:
                given = typed.execute(f"select {name}::float8 from app.t where id = %s", [row]).fetchone()[0]
            values = loads[row][name], changes[row][name]
            if not all(_equal(value, given) for value in values):
                wrong.append(f"{kind} {literals[row] if row < len(literals) else None}: {values}, not {given}")
    assert not wrong, "\n".join(wrong)


def test_source_columns_keep_their_order(shared: Service, typed: psycopg.Connection[Any]) -> None:
    arn = shared.task("order", kind="full-load", IncludeOpForFullLoad=True)
    shared.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    until(lambda: shared.describe(arn)["Status"] == "stopped")
    assert shared.describe(arn)["StopReason"] == "Stop Reason FULL_LOAD_ONLY_FINISHED"
    schema = pq.read_schema(shared.files("order", "t")[0])
    names = [f"c{n}" for n in range(len(TYPES))]
    assert schema.names == ["Op", "dms_timestamp", "id", "touched", *names, *ADDED]
    assert [field.name for field in schema if not field.nullable] == ["dms_timestamp"]
    assert schema.metadata is None
