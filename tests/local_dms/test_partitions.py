"""A partitioned table is captured as one table, by its root: rows that move, partitions that come and go."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.local_dms.service import Service, folded, until
from tests.local_dms.source_tables import rows

pytestmark = pytest.mark.postgres

FLOWS = "update app.p set note = 'flows' where id = 1"
"""Once it is captured, tables that come and go are no matter of the task's start any more."""


def _captured(service: Service, name: str) -> dict[int, dict[str, Any]]:
    return folded(service.loads(name, "p"), service.changes(name, "p"))


@pytest.fixture
def table(source: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Partitions of two levels, one with its columns in another order and a hole of a dropped one."""
    key = "primary key (id, region)"
    source.execute(f"create table app.p (id integer, region text, note text, {key}) partition by list (region)")
    source.execute("create table app.p_north partition of app.p for values in ('north')")
    source.execute("create table app.p_south (note text, gone integer, region text not null, id integer not null)")
    source.execute("alter table app.p_south drop gone")
    source.execute("alter table app.p attach partition app.p_south for values in ('south')")
    source.execute("create table app.p_rest partition of app.p for values in ('east', 'west') partition by hash (id)")
    for rest in (0, 1):
        within = f"for values with (modulus 2, remainder {rest})"
        source.execute(f"create table app.p_rest_{rest} partition of app.p_rest {within}".encode())
    source.execute(
        "insert into app.p select g, (array['north', 'south', 'east', 'west'])[g % 4 + 1], 'row' "
        "from generate_series(1, 40) g"
    )
    return source


def test_load_changes_and_rows_that_move_between_partitions(shared: Service, table: psycopg.Connection[Any]) -> None:
    arn = shared.task("parts")
    shared.run(arn)
    assert set(shared.statistics(arn)) == {"p"}
    assert len(shared.loads("parts", "p")) == 40
    table.execute("update app.p set note = 'changed' where id % 3 = 0")
    table.execute("delete from app.p where id in (4, 5, 6, 7)")
    table.execute("insert into app.p values (50, 'south', 'new'), (51, 'west', 'new')")
    # A row that moves is deleted in one partition and inserted in another.
    table.execute("update app.p set region = 'north' where id in (1, 2, 3)")
    table.execute("update app.p set id = 60, region = 'south' where id = 8")
    # Straight into a partition.
    table.execute("insert into app.p_south (id, region, note) values (52, 'south', 'direct')")
    shared.stop(arn)
    changes = shared.changes("parts", "p")
    moved = [(row["Op"], row["region"]) for row in changes if row["id"] == 2]
    assert moved == [("D", "east"), ("I", "north")]
    assert not [name for name in ("p_north", "p_south", "p_rest") if shared.files("parts", name)]
    assert _captured(shared, "parts") == rows(table, "p")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_partitions_attached_detached_and_truncated_are_made_up_for_by_a_reload(
    shared: Service, table: psycopg.Connection[Any]
) -> None:
    """Rows that come or go with a partition are not in the log, as with DMS; those that change afterwards are."""
    table.execute("create table app.t (id integer primary key)")
    table.execute("create schema if not exists elsewhere")
    arn = shared.task("moving")
    shared.run(arn)
    table.execute(FLOWS.encode())
    until(lambda: shared.changes("moving", "p"))
    table.execute("create table elsewhere.p_new (like app.p including all)")
    table.execute("insert into elsewhere.p_new values (70, 'new', 'before'), (71, 'new', 'before')")
    table.execute("alter table app.p attach partition elsewhere.p_new for values in ('new')")
    table.execute("alter table app.p detach partition app.p_south")
    table.execute("truncate app.p_rest")
    table.execute("update app.p set note = 'after' where id = 70")
    table.execute("insert into app.p values (72, 'new', 'after'), (73, 'east', 'after')")
    table.execute("insert into app.p_south (id, region, note) values (74, 'south', 'not of p any more')")
    until(lambda: {70, 72, 73} <= {row["id"] for row in shared.changes("moving", "p")})
    unseen = _captured(shared, "moving")
    assert unseen[70]["note"] == "after"
    assert 71 not in unseen
    assert 74 not in unseen
    assert any(row["region"] == "south" for row in unseen.values())
    assert any(row["id"] < 70 and row["region"] in {"east", "west"} for row in unseen.values())
    table.execute("drop table app.p_south")
    before = len(shared.changes("moving", "p"))
    shared.client.reload_tables(ReplicationTaskArn=arn, TablesToReload=[{"SchemaName": "app", "TableName": "p"}])
    until(lambda: shared.statistics(arn)["p"]["FullLoadReloaded"])
    shared.loaded(arn)
    table.execute("delete from app.p where id = 72")
    shared.stop(arn)
    assert len(shared.changes("moving", "p")) == before + 1
    assert folded(shared.loads("moving", "p"), shared.changes("moving", "p")[before:]) == rows(table, "p")
    assert shared.statistics(arn)["t"]["TableState"] == "Table completed"
    table.execute("drop table elsewhere.p_new")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_partition_without_identity_suspends_its_table(shared: Service, table: psycopg.Connection[Any]) -> None:
    arn = shared.task("leaf")
    shared.run(arn)
    table.execute("insert into app.p values (80, 'north', 'row')")
    table.execute("alter table app.p_north replica identity nothing")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="replica identity"):
        table.execute("update app.p set note = 'changed' where id = 80")
    until(lambda: shared.statistics(arn)["p"]["TableState"] == "Table error", 10)
    table.execute("update app.p set note = 'changed' where id = 80")
    assert any("REPLICA IDENTITY NOTHING (partition app.p_north)" in message for message in shared.events())
    table.execute("alter table app.p_north replica identity default")
    shared.client.reload_tables(ReplicationTaskArn=arn, TablesToReload=[{"SchemaName": "app", "TableName": "p"}])
    shared.loaded(arn)
    table.execute("update app.p set note = 'again' where id = 80")
    shared.stop(arn)
    assert _captured(shared, "leaf") == rows(table, "p")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)
