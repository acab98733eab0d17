"""Large values that a change does not touch: JSON, arrays, texts, binary, by replica identity."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.local_dms.service import Service, folded

pytestmark = pytest.mark.postgres

LARGE = {
    "doc": ("json", "(select json_agg(md5(i::text)) from generate_series(1, 300) i)"),
    "tree": ("jsonb", "(select jsonb_object_agg(i::text, md5(i::text)) from generate_series(1, 300) i)"),
    "numbers": ("integer[]", "array(select i * 7919 from generate_series(1, 3000) i)"),
    "words": ("text[]", "array(select md5(i::text) from generate_series(1, 300) i)"),
    "body": ("text", "(select string_agg(md5(i::text), ',') from generate_series(1, 300) i)"),
    "raw": ("bytea", "(select string_agg(decode(md5(i::text), 'hex'), '') from generate_series(1, 600) i)"),
}


@pytest.mark.parametrize("identity", ["default", "full", "index"])
def test_large_values_that_a_change_does_not_touch(
    shared: Service, source: psycopg.Connection[Any], identity: str
) -> None:
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in LARGE.items())
    source.execute(f"create table app.t (id integer primary key, n integer not null, {columns})".encode())
    values = ", ".join(value for _, value in LARGE.values())
    source.execute(f"insert into app.t select g, g, {values} from generate_series(1, 4) g".encode())
    if identity == "index":
        source.execute("create unique index by_both on app.t (n, id)")
        source.execute("alter table app.t replica identity using index by_both")
    elif identity == "full":
        source.execute("alter table app.t replica identity full")
    toast = source.execute(
        "select count(*) from pg_class c join pg_class r on r.reltoastrelid = c.oid "
        "where r.oid = 'app.t'::regclass and pg_relation_size(c.oid) > 0"
    ).fetchone()
    assert toast == (1,), "values are stored out of line"
    name = f"large-{identity}"
    arn = shared.task(name, settings={"TargetMetadata": {"LimitedSizeLobMode": False, "FullLobMode": True}})
    shared.run(arn)
    source.execute("update app.t set n = n + 10 where id <= 2")
    source.execute("update app.t set id = 30 where id = 3")
    source.execute("update app.t set body = 'small now' where id = 4")
    source.execute("delete from app.t where id = 2")
    shared.stop(arn)
    loads, changes = shared.loads(name, "t"), shared.changes(name, "t")
    assert all(row[column] is not None for row in loads for column in LARGE)
    original = {column: loads[0][column] for column in LARGE}
    state = folded(loads, changes)
    assert set(state) == {1, 4, 30}
    assert {key: row["n"] for key, row in state.items()} == {1: 11, 4: 4, 30: 3}
    assert state[4]["body"] == "small now"
    carried = identity == "full"
    for row in (state[1], state[30]):
        found = {column: row[column] for column in LARGE}
        assert found == (original if carried else dict.fromkeys(LARGE)), "the value, or null where the log has none"
    untouched = [column for column in LARGE if column != "body"]
    assert all((state[4][column] == original[column]) == carried for column in untouched)
    assert any("unchanged large value as null" in message for message in shared.events()) or carried
    shared.client.delete_replication_task(ReplicationTaskArn=arn)
