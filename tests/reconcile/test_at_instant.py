"""A busy source is compared without a false alarm; what is in doubt is settled later; what is wrong is found."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pytest

from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.reconcile.at_instant import InstantComparison, big_tables, compare_at_instant, curated_digests_at
from dms_assets.reconcile.comparison import Fault
from dms_assets.reconcile.digests import BUCKETS, differing_buckets, in_buckets, source_digests
from dms_assets.reconcile.keys import Key, in_keys, key_hash
from dms_assets.reconcile.postgres_columns import postgres_columns
from dms_assets.reconcile.source_state import Condition, SourceState, read_source, source_snapshot
from dms_assets.sample.postgres import EmbeddedPostgres

pytestmark = pytest.mark.postgres

ACCOUNT = TableMetadata(
    TableName("bank", "account"),
    tuple(
        ColumnMetadata(name, LogicalType.parse(kind), kind)
        for name, kind in (("id", "int32"), ("holder", "string"), ("balance", "decimal(12,2)"), ("note", "string"))
    ),
    ("id", "holder"),
)
KEYS = 200
DOUBT = timedelta(seconds=3)
"""Longer than a commit takes to be seen, also on a machine that has other things to do."""
END = datetime.fromisoformat("2999-01-01T00:00:00+00:00")
_SCHEMA = """
drop schema if exists bank cascade;
create schema bank;
create table bank.account (id int, holder text, balance numeric(12,2), note text, primary key (id, holder));
create table bank.log (n bigserial, op text, id int, holder text, balance numeric(12,2), note text);
create function bank.keep() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        insert into bank.log (op, id, holder) values ('D', old.id, old.holder);
    else
        insert into bank.log (op, id, holder, balance, note)
        values (left(tg_op, 1), new.id, new.holder, new.balance, new.note);
    end if;
    return null;
end $$;
create trigger keep after insert or update or delete on bank.account for each row execute function bank.keep();
insert into bank.account
select n, case n % 3 when 0 then 'Zoë' when 1 then '' else 'x:1' end, n / 7.0,
       case n % 5 when 0 then null when 1 then '' when 2 then repeat('é', 150) else 'note ' || n end
from generate_series(1, 200) n;
"""


@pytest.fixture
def bank(server: EmbeddedPostgres) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(_SCHEMA)
        yield connection


def curate(bank: psycopg.Connection[Any], path: Path, *, without: int | None = None) -> Path:
    """The warehouse that the source's own log of changes gives, with its own commit times; one change may be lost."""
    rows = bank.execute(
        "select n, op, id, holder, balance, note, pg_xact_commit_timestamp(xmin) from bank.log order by n"
    ).fetchall()
    versions = [row for row in rows if row[0] != without]
    by_key: defaultdict[tuple[int, str], list[Any]] = defaultdict(list)
    for row in versions:
        by_key[row[2], row[3]].append(row)
    history = []
    for changes in by_key.values():
        for change, after in zip(changes, [*changes[1:], None], strict=True):
            valid_to = after[6] if after else END
            if change[1] != "D" and valid_to > change[6]:
                history.append((*change[2:6], change[6], valid_to))
    names = ["id", "holder", "balance", "note"]
    types = [pa.int32(), pa.string(), pa.decimal128(12, 2), pa.string()]
    at = pa.timestamp("us", "UTC")
    shapes = {
        "account_history": ([*names, "valid_from", "valid_to"], [*types, at, at], history),
        "account_versions": (["_op", *names, "_commit_at"], [pa.string(), *types, at], [row[1:] for row in versions]),
    }
    with duckdb.connect(str(path)) as connection:
        connection.execute("create or replace schema src_bank_curated")
        for relation, (columns, kinds, rows) in shapes.items():
            values = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
            connection.register("given", pa.table(values, names=columns))
            connection.execute(f"create table src_bank_curated.{relation} as from given")
            connection.unregister("given")
    return path


def recorded(server: EmbeddedPostgres, folder: Path, condition: Condition | None = None) -> SourceState:
    with source_snapshot(server.dsn) as snapshot:
        only = {ACCOUNT.name: condition} if condition else None
        return read_source(server.dsn, snapshot, [ACCOUNT], folder, only)


def compared(path: Path, state: SourceState, doubt: timedelta = DOUBT, **part: Any) -> InstantComparison:
    with duckdb.connect(str(path), read_only=True) as connection:
        return compare_at_instant(connection, state, "src", ACCOUNT, doubt, **part)


def hammer(dsn: str, seed: int, ending: threading.Event) -> None:
    choice = random.Random(seed)
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not ending.is_set():
            # A part of the keys only, so that others are out of doubt.
            key = choice.randrange(1, KEYS // 2)
            with connection.transaction(force_rollback=choice.random() < 0.1):
                if choice.random() < 0.2:
                    connection.execute("delete from bank.account where id = %s", [key])
                else:
                    connection.execute(
                        "insert into bank.account values (%s, 'x:1', %s, 'new') on conflict (id, holder)"
                        " do update set balance = excluded.balance, note = account.note || 'x'",
                        [key, choice.randrange(10_000)],
                    )


def test_concurrent_commits_raise_no_false_alarm_and_a_lost_change_is_found_among_them(
    server: EmbeddedPostgres, bank: psycopg.Connection[Any], tmp_path: Path
) -> None:
    lost = bank.execute(f"update bank.account set balance = -1 where id = {KEYS} returning holder").fetchall()
    (change,) = bank.execute("select max(n) from bank.log").fetchall()[0]
    bank.execute("select pg_sleep(3.1)")
    ending = threading.Event()
    threads = [threading.Thread(target=hammer, args=(server.dsn, seed, ending)) for seed in range(4)]
    for thread in threads:
        thread.start()
    states = []
    try:
        for number in range(6):
            bank.execute("select pg_sleep(0.2)")
            states.append(recorded(server, tmp_path / f"state-{number}"))
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    good = curate(bank, tmp_path / "good.duckdb")
    found = [compared(good, state) for state in states]
    assert all(one.surely.equal for one in found), [one.surely.to_json() for one in found]
    assert all(0 < one.in_doubt == len(one.keys) < KEYS for one in found)
    assert all(one.surely.source_rows == state.rows[ACCOUNT.name] for one, state in zip(found, states, strict=True))
    bad = curate(bank, tmp_path / "bad.duckdb", without=change)
    for state in states:
        surely = compared(bad, state).surely
        assert (surely.different, surely.missing, surely.extra) == (1, 0, 0)
        assert surely.differences[0].key == {"id": str(KEYS), "holder": lost[0][0]}
    settled = recorded(server, tmp_path / "later", in_keys(ACCOUNT.key, found[-1].keys))
    assert settled.rows[ACCOUNT.name] <= len(found[-1].keys)
    again = compared(good, settled, timedelta(0), keys=found[-1].keys)
    assert (again.surely.equal, again.in_doubt) == (True, 0)


def test_a_commit_that_is_not_visible_yet_is_in_doubt_and_settled_later(
    server: EmbeddedPostgres, bank: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """A commit that waits for a standby has its time, and its place in the log, and nobody sees it."""
    bank.execute("select pg_sleep(0.1)")
    begun = bank.execute("select clock_timestamp()").fetchall()[0][0]
    bank.execute("alter system set synchronous_standby_names = 'nobody'")
    bank.execute("select pg_reload_conf()")
    try:
        with psycopg.connect(server.dsn, autocommit=True) as other:
            waiting = threading.Thread(target=other.execute, args=("delete from bank.account where id = 7",))
            until = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
            bank.execute("select pg_sleep(0.1)")
            waiting.start()
            for _ in range(100):
                if bank.execute(until).fetchall()[0][0]:
                    break
                bank.execute("select pg_sleep(0.05)")
            state = recorded(server, tmp_path / "state")
            assert state.rows[ACCOUNT.name] == KEYS, "the deleted row is still seen"
            bank.execute("alter system reset synchronous_standby_names")
            bank.execute("select pg_reload_conf()")
            waiting.join(10)
            assert not waiting.is_alive()
    finally:
        bank.execute("alter system reset synchronous_standby_names")
        bank.execute("select pg_reload_conf()")
    path = curate(bank, tmp_path / "warehouse.duckdb")
    at_once = compared(path, state, timedelta(0)).surely
    assert (at_once.missing, at_once.differences[0].fault) == (1, Fault.MISSING), "without a doubt it is a false alarm"
    found = compared(path, state, state.at - begun)
    assert found.surely.equal
    assert found.keys == (("7", ""),)
    settled = recorded(server, tmp_path / "settled", in_keys(ACCOUNT.key, found.keys))
    assert compared(path, settled, timedelta(0), keys=found.keys).surely.equal
    assert settled.rows[ACCOUNT.name] == 0


def test_keys_are_found_again_whatever_they_hold(server: EmbeddedPostgres, tmp_path: Path) -> None:
    table = TableMetadata(
        TableName("keyed", "t"),
        tuple(
            ColumnMetadata(name, LogicalType.parse(kind), kind)
            for name, kind in (("a", "int64"), ("b", "string"), ("c", "date"), ("d", "string"))
        ),
        ("a", "b", "c", "d"),
    )
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("drop schema if exists keyed cascade")
        connection.execute("create schema keyed")
        connection.execute("create table keyed.t (a int8, b text, c date, d uuid, primary key (a, b, c, d))")
        texts = ["o'clock", 'back\\slash "quoted"', "", "{a,b}", "ü" * 300, "NULL", "%s"]
        for number, text in enumerate(texts):
            connection.execute(
                "insert into keyed.t values (%s, %s, date '2026-01-01' + %s, gen_random_uuid())", [number, text, number]
            )
    with source_snapshot(server.dsn) as snapshot:
        state = read_source(server.dsn, snapshot, [table], tmp_path / "all")
        keys: list[Key] = [tuple(row.values()) for row in state.table(table.name).to_pylist()]
    assert len({key_hash(key) for key in keys}) == len(keys)
    for chosen in (keys, keys[3:5]):
        with source_snapshot(server.dsn) as snapshot:
            only = {table.name: in_keys(table.key, chosen)}
            part = read_source(server.dsn, snapshot, [table], tmp_path / "part", only)
        assert sorted(tuple(row.values()) for row in part.table(table.name).to_pylist()) == sorted(chosen)
    with pytest.raises(ValueError, match="no key"):
        in_keys(table.key, [])


def test_digests_agree_and_lead_to_the_rows_that_differ(
    server: EmbeddedPostgres, bank: psycopg.Connection[Any], tmp_path: Path
) -> None:
    bank.execute("insert into bank.account select n, 'many', n, 'of them' from generate_series(1000, 21000) n")
    (lost,) = bank.execute("select n from bank.log where id = 1234").fetchall()[0]
    bank.execute("select pg_sleep(0.01)")
    with source_snapshot(server.dsn) as snapshot:
        columns = postgres_columns(snapshot.connection, [ACCOUNT])[ACCOUNT.name]
        digests = source_digests(snapshot, ACCOUNT, columns)
    assert 1_000 < len(digests) <= BUCKETS
    assert sum(count for count, _, _ in digests.values()) == KEYS + 20_001

    def differing(path: Path) -> dict[int, int]:
        with duckdb.connect(str(path), read_only=True) as connection:
            curated, wrong = curated_digests_at(connection, "src", ACCOUNT, snapshot.at)
        assert not wrong
        return differing_buckets(digests, curated)

    good = curate(bank, tmp_path / "good.duckdb")
    assert differing(good) == {}
    bad = curate(bank, tmp_path / "bad.duckdb", without=lost)
    with duckdb.connect(str(bad)) as connection:
        connection.execute("update src_bank_curated.account_history set note = coalesce(note, '') || ' ' where id = 5")
        assert big_tables(connection, "src", [ACCOUNT], 20_000) == {ACCOUNT.name}
        assert big_tables(connection, "src", [ACCOUNT], 30_000) == set()
    buckets = frozenset(differing(bad))
    assert len(buckets) == 2
    part = recorded(server, tmp_path / "part", in_buckets(ACCOUNT.key, buckets))
    assert 2 <= part.rows[ACCOUNT.name] < 100, "only the differing buckets are read"
    found = compared(bad, part, timedelta(0), buckets=buckets).surely
    assert (found.missing, found.different, found.extra) == (1, 1, 0)
    assert {difference.key["id"] for difference in found.differences} == {"5", "1234"}
