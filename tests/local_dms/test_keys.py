"""Keys that are no plain integers: an identity by another index, floats, texts that compare without case."""

from __future__ import annotations

import math
import struct
from typing import Any

import psycopg
import pytest

from tests.local_dms.service import Service, folded

pytestmark = pytest.mark.postgres


def test_an_identity_by_an_index_that_holds_the_key(shared: Service, source: psycopg.Connection[Any]) -> None:
    """The key's columns are not in the table's order, and the index has them in another one, with one more."""
    source.execute(
        "create table app.t (note text, a integer, code text not null, b integer, id integer, primary key (b, a))"
    )
    source.execute("create unique index by_index on app.t (a, code, b)")
    source.execute("alter table app.t replica identity using index by_index")
    source.execute("insert into app.t select 'row', g % 5, 'c' || g, g, g from generate_series(1, 20) g")
    arn = shared.task("indexed")
    shared.run(arn)
    source.execute("update app.t set note = 'changed' where b = 1")
    source.execute("update app.t set code = 'other' where b = 2")
    source.execute("delete from app.t where b = 3")
    source.execute("update app.t set a = 9 where b = 4")
    shared.stop(arn)
    changes = shared.changes("indexed", "t")
    images = [(row["Op"], row["b"], row["a"], row["code"]) for row in changes]
    # The index's columns are known of a deleted row; another value of one that is no key is an update like any.
    assert images == [
        ("U", 1, 1, "c1"),
        ("U", 2, 2, "other"),
        ("D", 3, 3, "c3"),
        ("D", 4, 4, "c4"),
        ("I", 4, 9, "c4"),
    ]
    rows = {row[0]: row for row in source.execute("select b, a, code, note, id from app.t").fetchall()}
    state = folded(shared.loads("indexed", "t"), changes, key="b")
    assert {key: tuple(row[name] for name in ("b", "a", "code", "note", "id")) for key, row in state.items()} == rows
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def _bits(value: float) -> bytes:
    return b"nan" if math.isnan(value) else struct.pack(">d", value)


def test_float_keys(shared: Service, source: psycopg.Connection[Any]) -> None:
    source.execute("create table app.f (id double precision primary key, note text)")
    values = ["0", "1.5", "'NaN'", "'Infinity'", "'-Infinity'", "5e-324", "1.7976931348623157e308", "0.1"]
    for value in values:
        source.execute(f"insert into app.f values ({value}, 'row')".encode())
    arn = shared.task("floats")
    shared.run(arn)
    source.execute("update app.f set note = 'changed' where id = 'NaN'")
    source.execute("update app.f set note = 'changed' where id = 5e-324")
    source.execute("update app.f set id = '-0' where id = 0")
    source.execute("update app.f set id = 0.30000000000000004 where id = 0.1")
    source.execute("delete from app.f where id = '-Infinity'")
    source.execute("update app.f set id = 'NaN' where id = 'NaN'")
    shared.stop(arn)
    changes = shared.changes("floats", "f")
    images = [(row["Op"], _bits(row["id"])) for row in changes]
    assert images == [
        ("U", b"nan"),
        ("U", _bits(5e-324)),
        # Zero and minus zero are one key to PostgreSQL, and two to those who know a key by its bytes.
        ("D", _bits(0.0)),
        ("I", _bits(-0.0)),
        ("D", _bits(0.1)),
        ("I", _bits(0.30000000000000004)),
        ("D", _bits(-math.inf)),
        ("U", b"nan"),
    ]
    by_bits = [{**row, "id": _bits(row["id"])} for row in shared.loads("floats", "f")]
    state = folded(by_bits, [{**row, "id": _bits(row["id"])} for row in changes])
    rows = source.execute("select id, note from app.f").fetchall()
    assert {key: row["note"] for key, row in state.items()} == {_bits(key): note for key, note in rows}
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_keys_that_compare_without_case(shared: Service, source: psycopg.Connection[Any]) -> None:
    """`citext`: one key to PostgreSQL, and another one to those who know a key by its bytes."""
    source.execute("create extension citext schema app")
    # Its operators are found there too: or texts would be compared.
    source.execute("set search_path to app, public")
    source.execute("create table app.t (id app.citext primary key, note text)")
    source.execute("insert into app.t values ('Abc', 'row'), ('Straße', 'row'), ('x', 'row')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        source.execute("insert into app.t values ('ABC', 'row')")
    arn = shared.task("caseless")
    shared.run(arn)
    source.execute("update app.t set note = 'changed' where id = 'ABC'")
    source.execute("update app.t set id = 'aBC' where id = 'abc'")
    source.execute("delete from app.t where id = 'X'")
    source.execute("insert into app.t values ('X', 'anew')")
    shared.stop(arn)
    changes = shared.changes("caseless", "t")
    images = [(row["Op"], row["id"]) for row in changes]
    assert images == [("U", "Abc"), ("D", "Abc"), ("I", "aBC"), ("D", "x"), ("I", "X")]
    rows = dict(source.execute("select id::text, note from app.t").fetchall())
    state = folded(shared.loads("caseless", "t"), changes)
    assert {key: row["note"] for key, row in state.items()} == rows
    shared.client.delete_replication_task(ReplicationTaskArn=arn)
