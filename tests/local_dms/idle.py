"""A source whose monitored tables are idle while others are busy: its log must not pile up behind the slot."""

from __future__ import annotations

from tests.local_dms.gap_world import GapWorld
from tests.local_dms.service import until

LIMIT = 24 << 20
ROUND = 32 << 20
ROUNDS = 3
KEPT = "select (pg_current_wal_flush_lsn() - restart_lsn)::int8 from pg_replication_slots where slot_name = %s"


def idle_source_keeps_little_log(world: GapWorld) -> float:
    """Megabytes of log that the slot holds at the most after each of some busy rounds of neighbours.

    Raises AssertionError if it stays above the limit, which is less than what one round writes.
    """
    world.begin()
    world.sql("drop schema if exists neighbours cascade")
    world.sql("create schema neighbours")
    world.sql("create table neighbours.busy (id bigint generated always as identity, filler text)")
    captured, highest = world.captured(), 0
    for _ in range(ROUNDS):
        ((before,),) = world.sql("select (pg_current_wal_flush_lsn() - '0/0')::int8")
        world.sql(
            "insert into neighbours.busy (filler) select repeat(md5(g::text), 30) from generate_series(1, %s) g",
            ROUND // 1000,
        )
        ((after,),) = world.sql("select (pg_current_wal_flush_lsn() - '0/0')::int8")
        assert after - before > LIMIT, "the neighbours were not busy"
        # The source does this by itself, every fifteen seconds and at checkpoints; a slot cannot move before.
        world.sql("select pg_log_standby_snapshot()")
        until(lambda: world.sql(KEPT, world.slot)[0][0] < LIMIT)
        highest = max(highest, world.sql(KEPT, world.slot)[0][0])
    assert world.captured() == captured, "the monitored table was not idle"
    world.sql("drop schema neighbours cascade")
    world.end()
    return highest / (1 << 20)
