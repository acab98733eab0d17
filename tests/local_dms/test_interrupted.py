"""Cut off in the middle: of a first load by its source, of one transaction's files by a kill. Nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.model.failpoints import KILLED_STATUS
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.conftest import GATE
from tests.local_dms.service import Service, folded, until
from tests.local_dms.source_tables import rows

pytestmark = pytest.mark.postgres

WAITING = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
TRANSACTION = 70_000


@pytest.mark.parametrize("end", [EmbeddedPostgres.stop, EmbeddedPostgres.kill], ids=["restarted", "killed"])
def test_a_source_that_restarts_in_the_middle_of_the_first_load(
    limited: Service,
    tables: psycopg.Connection[Any],
    postgres: EmbeddedPostgres,
    address: SourceAddress,
    end: Callable[[EmbeddedPostgres], None],
) -> None:
    tables.execute("create table app.early as select id, note from app.t")
    tables.execute("alter table app.early add primary key (id), owner to loader")
    tables.execute("select pg_advisory_lock(%s)", [GATE])
    name = f"torn-{end.__name__}"
    arn = limited.task(name)
    limited.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    # In the middle: one table is loaded, rows of the next are being read, one is not begun.
    until(lambda: tables.execute(WAITING).fetchone() == (True,))
    states = {table: one["TableState"] for table, one in limited.statistics(arn).items()}
    assert states == {"early": "Table completed", "slow": "Full load", "t": "Before load"}
    tables.execute("update app.early set note = 'during the load' where id = 1")
    end(postgres)
    postgres.start()
    assert postgres.connection_info.port == address.port
    with psycopg.connect(address.uri(), autocommit=True) as source:
        limited.loaded(arn)
        assert any("trying again" in message for message in limited.events())
        for table in ("early", "slow", "t"):
            source.execute(f"update app.{table} set note = 'after' where id = 2".encode())
            source.execute(f"delete from app.{table} where id = 3".encode())
        limited.stop(arn)
        for table in ("early", "slow", "t"):
            found = folded(limited.loads(name, table), limited.changes(name, table))
            assert found == rows(source, table), table
    reloaded = {table: one["FullLoadReloaded"] for table, one in limited.statistics(arn).items()}
    assert reloaded == {"early": False, "slow": True, "t": True}
    limited.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_transaction_of_several_files_killed_between_them(
    services: Callable[..., Service], source: psycopg.Connection[Any]
) -> None:
    source.execute("create table app.t (id integer primary key, note text)")
    source.execute("insert into app.t select g, 'row' from generate_series(1, 10) g")
    # The load passes the place once, the transaction's first file the second time.
    service = services("local_dms.between_files=kill@3")
    arn = service.task("cut", CdcMinFileSize=1, CdcMaxBatchInterval=3600)
    service.run(arn)
    with source.transaction():
        source.execute("insert into app.t select g, 'new' from generate_series(11, %s) g", [TRANSACTION])
        source.execute("update app.t set note = 'changed' where id % 10 = 0".replace("%", "%%"), [])
        source.execute("delete from app.t where id <= 5")
    assert service.killed() == KILLED_STATUS
    first = service.changes("cut", "t")
    assert len(service.files("cut", "t", "2")) == 2
    whole = TRANSACTION - 10 + TRANSACTION // 10 + 5
    assert 0 < len(first) < whole, "killed in the middle of the transaction's files"
    service = services()
    assert service.describe(arn)["Status"] == "running"
    service.stop(arn)
    changes = service.changes("cut", "t")
    assert len(service.files("cut", "t", "2")) >= 5
    assert len(changes) == len(first) + whole, "the whole transaction came again"
    assert len({row["dms_change_seq"] for row in changes}) == whole, "what came twice is the same change"
    assert len({tuple(row.values()) for row in changes}) == whole
    assert folded(service.loads("cut", "t"), changes) == rows(source, "t")
    assert len({pq.read_table(path).column("dms_timestamp")[0].as_py() for path in service.files("cut", "t", "2")}) == 1


def test_a_resume_reads_the_log_only_and_needs_no_right_to_read_the_tables(
    limited: Service, tables: psycopg.Connection[Any]
) -> None:
    arn = limited.task("unread")
    limited.run(arn)
    limited.stop(arn)
    before = limited.files("unread", "t")
    tables.execute("revoke select on app.t, app.slow from loader")
    assert tables.execute("select has_table_privilege('loader', 'app.t', 'select')").fetchone() == (False,)
    tables.execute("update app.t set note = 'while stopped' where id = 1")
    limited.run(arn, "resume-processing")
    tables.execute("update app.t set note = 'later' where id = 2")
    limited.stop(arn)
    assert [row["note"] for row in limited.changes("unread", "t")] == ["while stopped", "later"]
    assert limited.files("unread", "t", "LOAD") == before
    assert not any(one["FullLoadReloaded"] for one in limited.statistics(arn).values())
    assert folded(limited.loads("unread", "t"), limited.changes("unread", "t")) == rows(tables, "t")
    limited.client.delete_replication_task(ReplicationTaskArn=arn)
