"""What changes around the rows while a task runs: defaults of the database and role, labels of an enum, extensions."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from dms_assets.local_dms.postgres.source import SourceAddress
from tests.local_dms.service import Service, until

pytestmark = pytest.mark.postgres

ODD = {
    "TimeZone": "'Asia/Kathmandu'",
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "'sql_standard'",
    "extra_float_digits": "-15",
    "bytea_output": "'escape'",
    "xmlbinary": "'hex'",
    "search_path": "'pg_catalog'",
    "lc_messages": "'C'",
    "default_transaction_read_only": "on",
    "statement_timeout": "1",
}
"""Each changes how a value is printed, what a name means, or what a session may do."""

VALUES = {
    "at": ("timestamptz", "'2024-07-01 12:34:56.123456+02'"),
    "local": ("timestamp", "'2024-02-03 04:05:06'"),
    "day": ("date", "'2024-02-03'"),
    "clock": ("timetz", "'10:11:12+05:45'"),
    "span": ("interval", "'1 year 2 mons -3 days 04:05:06.789'"),
    "exact": ("float8", "0.1::float8 + 0.2::float8"),
    "less": ("real", "1.0::real / 3"),
    "raw": ("bytea", r"'\x00ff5c27'"),
    "days": ("date[]", "array['2024-02-03', 'infinity']::date[]"),
    "instants": ("timestamptz[]", "array['2024-07-01 12:34:56.123456+02']::timestamptz[]"),
    "floats": ("float8[]", "array[0.1::float8 + 0.2::float8, 1e-300]"),
    "raws": ("bytea[]", r"array['\x00ff5c27']::bytea[]"),
    "spans": ("interval[]", "array['1 year 2 mons -3 days']::interval[]"),
    "period": ("tstzrange", "tstzrange('2024-07-01 12:00+00', '2024-07-02 12:00+00')"),
    "place": ("point", "point(0.1::float8 + 0.2::float8, 1e-300)"),
    "kind": ("app.mood", "'calm'"),
    "whole": ("app.pair", "row('2024-07-01 12:00+00'::timestamptz, 0.1::float8 + 0.2::float8)::app.pair"),
}


def test_defaults_of_database_and_role_do_not_change_values(
    shared: Service, source: psycopg.Connection[Any], address: SourceAddress
) -> None:
    source.execute("create type app.mood as enum ('calm')")
    source.execute("create type app.pair as (at timestamptz, n float8)")
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in VALUES.items())
    source.execute(f"create table app.t (id integer primary key, {columns})".encode())
    row = ", ".join(f"{value}::{kind}" for kind, value in VALUES.values())
    insert = f"insert into app.t values (%s, {row})".encode()
    arn = shared.task("settings")
    source.execute(insert, [1])
    shared.run(arn)
    source.execute(insert, [2])
    until(lambda: len(shared.changes("settings", "t")) == 1)
    try:
        for name, value in ODD.items():
            for whose in (f"database {address.database}", f"role {address.user}"):
                source.execute(f"alter {whose} set {name} to {value}".encode())
        with psycopg.connect(address.uri(), options="-c statement_timeout=0") as other:
            assert other.execute("show DateStyle").fetchone() == ("SQL, DMY",), "they rule who does not say otherwise"
        source.execute(insert, [3])
        until(lambda: len(shared.changes("settings", "t")) == 2)
        # New sessions: a load beside the stream, and a task that goes on.
        shared.client.reload_tables(ReplicationTaskArn=arn, TablesToReload=[{"SchemaName": "app", "TableName": "t"}])
        until(lambda: shared.statistics(arn)["t"]["FullLoadReloaded"])
        shared.loaded(arn)
        shared.stop(arn)
        source.execute(insert, [4])
        shared.run(arn, "resume-processing")
        shared.stop(arn)
    finally:
        for name in ODD:
            for whose in (f"database {address.database}", f"role {address.user}"):
                source.execute(f"alter {whose} reset {name}".encode())
        source.execute(f"alter database {address.database} set TimeZone to 'Europe/London'".encode())
    rows = [*shared.loads("settings", "t"), *shared.changes("settings", "t")]
    assert sorted(row["id"] for row in rows) == [1, 2, 2, 3, 3, 4]
    values = {tuple(str(row[name]) for name in VALUES) for row in rows}
    assert len(values) == 1, "one value, whoever printed it, and when"
    found = dict(zip(VALUES, values.pop(), strict=True))
    assert found["exact"] == "0.30000000000000004"
    assert "0.30000000000000004" in found["floats"]
    assert "2024-02-03" in found["days"]
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_source_ends_sessions_of_a_host_that_is_gone(address: SourceAddress) -> None:
    """As soon as Local DMS gives up a silent source: not after the hours that systems take by default."""
    shown = {"tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
    with address.connect() as connection, address.connect_replication() as replication:
        for name, value in shown.items():
            assert connection.execute(f"show {name}".encode()).fetchone() == (value,)
            assert replication.exec_(f"show {name}".encode()).get_value(0, 0) == value.encode()


def test_a_label_that_is_added_while_changes_flow(shared: Service, source: psycopg.Connection[Any]) -> None:
    source.execute("create type app.mood as enum ('calm', 'angry')")
    source.execute("create table app.t (id integer primary key, mood app.mood, moods app.mood[])")
    source.execute("insert into app.t values (1, 'calm', '{calm}')")
    arn = shared.task("labels")
    shared.run(arn)
    source.execute("insert into app.t values (2, 'angry', '{angry,calm}')")
    until(lambda: shared.changes("labels", "t"))
    source.execute("alter type app.mood add value 'in between' before 'angry'")
    source.execute("update app.t set mood = 'in between', moods = '{\"in between\"}' where id = 1")
    source.execute("alter type app.mood rename value 'angry' to 'furious'")
    source.execute("insert into app.t values (3, 'furious', '{furious}')")
    shared.stop(arn)
    rows = [(row["id"], row["mood"], row["moods"]) for row in shared.changes("labels", "t")]
    assert rows == [(2, "angry", "{angry,calm}"), (1, "in between", '{"in between"}'), (3, "furious", "{furious}")]
    assert shared.describe(arn)["ReplicationTaskStats"]["TablesErrored"] == 0
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_types_of_extensions_are_the_text_of_their_own_output(shared: Service, source: psycopg.Connection[Any]) -> None:
    values = {
        "hstore": """'a=>1, "b c"=>NULL, "ü"=>"x,\\"y"'""",
        "ltree": "'Top.Science.Astronomy'",
        "cube": "'(1,2.5),(3,4)'",
        "vector": "'[1,2.5,-3]'",
        "citext": "'MiXed'",
        "isn": "'978-0-393-04002-9'",
    }
    types = {**{name: name for name in values}, "isn": "isbn13"}
    for name in values:
        source.execute(f"create extension if not exists {name} schema app".encode())
    columns = ", ".join(f"c_{name} app.{types[name]}" for name in values)
    source.execute(f"create table app.t (id integer primary key, {columns})".encode())
    arn = shared.task("extensions")
    insert = f"insert into app.t values (%s, {', '.join(values.values())})".encode()
    source.execute(insert, [1])
    shared.run(arn)
    source.execute(insert, [2])
    shared.stop(arn)
    texts = ", ".join(f"c_{name}::text" for name in values)
    (expected,) = source.execute(f"select {texts} from app.t where id = 1".encode()).fetchall()
    for row in (*shared.loads("extensions", "t"), *shared.changes("extensions", "t")):
        assert tuple(row[f"c_{name}"] for name in values) == expected
    assert len(shared.changes("extensions", "t")) == 1
    shared.client.delete_replication_task(ReplicationTaskArn=arn)
