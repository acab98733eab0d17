"""Tables of as many columns as PostgreSQL allows, of none, and of nothing but what logs do not carry."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.local_dms.service import Service, folded

pytestmark = pytest.mark.postgres

MOST = 1600


def test_tables_of_sixteen_hundred_columns_and_of_none(shared: Service, source: psycopg.Connection[Any]) -> None:
    columns = ", ".join(f"c{n} integer" for n in range(2, MOST + 1))
    source.execute(f"create table app.wide (id integer primary key, {columns})".encode())
    source.execute("create table app.none ()")
    source.execute("create table app.holes (gone integer, id integer primary key, gone_too text)")
    source.execute("alter table app.holes drop gone, drop gone_too")
    source.execute("create table app.emptied (id integer primary key)")
    source.execute("insert into app.wide (id, c2, c1600) values (1, 2, 1600), (2, null, 3)")
    source.execute("insert into app.none default values")
    source.execute("insert into app.holes values (1)")
    arn = shared.task("shapes")
    shared.run(arn)
    source.execute("update app.wide set c800 = 800, c1600 = null where id = 1")
    source.execute("insert into app.wide (id, c1599) values (3, 1)")
    source.execute("delete from app.wide where id = 2")
    source.execute("insert into app.none default values")
    source.execute("insert into app.none default values")
    source.execute("insert into app.holes values (2)")
    source.execute("update app.holes set id = 3 where id = 1")
    shared.stop(arn)
    names = ["id", *(f"c{n}" for n in range(2, MOST + 1))]
    rows = {row[0]: dict(zip(names, row, strict=True)) for row in source.execute("select * from app.wide").fetchall()}
    assert folded(shared.loads("shapes", "wide"), shared.changes("shapes", "wide")) == rows
    assert set(folded(shared.loads("shapes", "holes"), shared.changes("shapes", "holes"))) == {2, 3}
    assert len(shared.loads("shapes", "none")) == 1
    assert [row["Op"] for row in shared.changes("shapes", "none")] == ["I", "I"]
    assert shared.describe(arn)["ReplicationTaskStats"]["TablesErrored"] == 0
    assert shared.statistics(arn)["wide"]["FullLoadRows"] == 2
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_generated_columns_are_left_out_of_load_and_change_alike(
    shared: Service, source: psycopg.Connection[Any]
) -> None:
    source.execute(
        "create table app.t (id integer generated always as identity primary key, n integer default 7, "
        "twice integer generated always as (n * 2) stored)"
    )
    source.execute("insert into app.t default values")
    arn = shared.task("generated")
    shared.run(arn)
    source.execute("insert into app.t (n) values (8)")
    source.execute("update app.t set n = 9 where id = 1")
    shared.stop(arn)
    (load,), changes = shared.loads("generated", "t"), shared.changes("generated", "t")
    carried = source.info.server_version >= 180000
    assert all(("twice" in row) == carried for row in (load, *changes))
    assert [(row["id"], row["n"], row.get("twice")) for row in (load, *changes)] == [
        *((1, 7, 14 if carried else None), (2, 8, 16 if carried else None), (1, 9, 18 if carried else None)),
    ]
    told = any("generated columns twice are not in the source's log" in message for message in shared.events())
    assert told != carried
    shared.client.delete_replication_task(ReplicationTaskArn=arn)
