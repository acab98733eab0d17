"""Ways to break a stream, and ways that only look like one. Each case names the gap that must come, or None."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from dms_assets.local_dms.gaps import Gap
from tests.local_dms.gap_world import GapWorld
from tests.local_dms.service import until

READ = (
    "select count(*) from pg_logical_slot_get_binary_changes('{slot}', null, null, 'proto_version', '1', "
    "'publication_names', '{slot}')"
)
DROP = "select pg_drop_replication_slot(%s)"
CREATE = "select pg_create_logical_replication_slot(%s, 'pgoutput')"
ADVANCE = "select pg_replication_slot_advance(%s, pg_current_wal_flush_lsn())"
POSITION = "select (confirmed_flush_lsn - '0/0')::int8 from pg_replication_slots where slot_name = %s"


@dataclass(frozen=True)
class Case:
    """`act` does the damage and lets the source change; the task runs at first. `gap` is what must come of it."""

    name: str
    gap: Gap | None
    act: Callable[[GapWorld], None]
    settings: dict[str, Any] = field(default_factory=dict)

    def run(self, world: GapWorld) -> None:
        """Raises AssertionError if it comes otherwise."""
        world.begin(**self.settings)
        self.act(world)
        if self.gap is None:
            world.expect_no_loss()
        else:
            world.expect_gap(self.gap)
            world.expect_remedy()
        world.end()


def dropped_while_stopped(world: GapWorld) -> None:
    world.stop()
    world.sql(DROP, world.slot)
    world.change()
    world.resume()


def dropped_while_running(world: GapWorld) -> None:
    until(lambda: _tried(world, DROP))
    world.change()


def _tried(world: GapWorld, statement: str) -> bool:
    """The statement, unless the task holds the slot at this moment."""
    try:
        world.sql(statement, world.slot)
    except psycopg.errors.ObjectInUse:
        return False
    return True


def made_anew_while_stopped(world: GapWorld) -> None:
    world.stop()
    world.sql(DROP, world.slot)
    world.change()
    world.sql(CREATE, world.slot)
    world.change()
    world.resume()


def made_anew_while_running(world: GapWorld) -> None:
    def anew() -> bool:
        with psycopg.connect(world.postgres.dsn) as connection:
            try:
                connection.execute(DROP, [world.slot])
            except psycopg.errors.ObjectInUse:
                return False
        world.change()
        world.sql(CREATE, world.slot)
        return True

    until(anew)
    world.change()


def moved_while_stopped(world: GapWorld) -> None:
    world.stop()
    world.change()
    before = world.sql(POSITION, world.slot)
    world.sql(ADVANCE, world.slot)
    assert world.sql(POSITION, world.slot) > before
    world.resume()


def moved_while_running(world: GapWorld) -> None:
    def moved() -> bool:
        world.change(1)
        return _tried(world, ADVANCE)

    # The task may have been faster: then nothing was lost, and it is tried again.
    until(lambda: moved() and _failed_soon(world))


def _failed_soon(world: GapWorld) -> bool:
    captured = world.captured()
    return bool(
        until(lambda: world.service.describe(world.arn)["Status"] == "failed" or world.captured() > captured)
        and world.service.describe(world.arn)["Status"] == "failed"
    )


def read_while_stopped(world: GapWorld) -> None:
    world.stop()
    world.change()
    ((count,),) = world.sql(READ.format(slot=world.slot))
    assert count > 0
    world.resume()


def another_plugin(world: GapWorld) -> None:
    world.stop()
    world.sql(DROP, world.slot)
    world.change()
    world.sql("select pg_create_logical_replication_slot(%s, 'test_decoding')", world.slot)
    world.resume()


def another_database(world: GapWorld) -> None:
    world.stop()
    world.sql(DROP, world.slot)
    world.change()
    with psycopg.connect(world.postgres.dsn, dbname="postgres", autocommit=True) as connection:
        connection.execute(CREATE, [world.slot])
    world.resume()
    world.failure()
    # Judged anew at every start, and never right.
    world.resume()


def log_removed(world: GapWorld) -> None:
    world.stop()
    world.sql("alter system set max_slot_wal_keep_size = '1MB'")
    world.sql("select pg_reload_conf()")
    try:
        world.change()

        def lost() -> bool:
            world.sql("select pg_logical_emit_message(false, 'fill', repeat('x', 8000000))")
            world.sql("select pg_switch_wal()")
            world.sql("checkpoint")
            return bool(world.sql("select wal_status from pg_replication_slots")[0][0] == "lost")

        until(lost)
    finally:
        world.sql("alter system reset max_slot_wal_keep_size")
        world.sql("select pg_reload_conf()")
    world.resume()


def idle_too_long(world: GapWorld) -> None:
    world.stop()
    world.sql("alter system set idle_replication_slot_timeout = '1s'")
    world.sql("select pg_reload_conf()")
    try:
        world.change()

        def invalid() -> bool:
            world.sql("checkpoint")
            return bool(world.sql("select invalidation_reason from pg_replication_slots")[0][0] == "idle_timeout")

        until(invalid)
    finally:
        world.sql("alter system reset idle_replication_slot_timeout")
        world.sql("select pg_reload_conf()")
    world.resume()


def publication_dropped_while_running(world: GapWorld) -> None:
    world.sql(f'drop publication "{world.slot}"')
    world.change()


def publication_dropped_and_made_anew(world: GapWorld) -> None:
    world.stop()
    world.sql(f'drop publication "{world.slot}"')
    world.change()
    world.sql(f'create publication "{world.slot}" for table app.t with (publish_via_partition_root = true)')
    world.resume()


def publication_without_the_table(world: GapWorld) -> None:
    world.sql("create table app.other (id integer primary key)")
    world.sql(f'alter publication "{world.slot}" set table app.other')
    world.change()
    world.sql(f'alter publication "{world.slot}" set table app.t')


def publication_of_inserts_only(world: GapWorld) -> None:
    world.stop()
    world.sql(f"alter publication \"{world.slot}\" set (publish = 'insert')")
    world.sql("delete from app.t where id = 1")
    world.sql(f"alter publication \"{world.slot}\" set (publish = 'insert, update, delete')")
    world.resume()


def state_put_back(world: GapWorld) -> None:
    """The state of Local DMS comes from a backup, the slot has gone on."""
    state, backup = world.service.home / "state", world.service.home / "backup"
    world.stop()
    world.service.end()
    world.copy(state, backup)
    world.service.start()
    world.resume()
    world.change()
    until(lambda: world.captured() >= world.changes)
    world.stop()
    world.service.end()
    world.copy(backup, state)
    world.service.start()
    world.resume()


def held_by_another_for_a_while(world: GapWorld) -> None:
    """A reader that only looks: the task waits, names it, and goes on."""
    world.stop()
    world.change()
    with world.service.source.connect_replication() as reader:
        options = f"(proto_version '1', publication_names '{world.slot}')"
        reader.exec_(f"START_REPLICATION SLOT {world.slot} LOGICAL 0/0 {options}".encode())
        active = "select active_pid from pg_replication_slots where slot_name = %s and active"
        ((holder,),) = until(lambda: world.sql(active, world.slot))
        world.resume()
        until(lambda: any(f"in use by process {holder}" in message for message in world.service.events()))
        assert world.service.describe(world.arn)["Status"] != "failed"
    until(lambda: world.captured() >= world.changes)


def stopped_and_resumed(world: GapWorld) -> None:
    world.stop()
    world.change()
    world.resume()
    until(lambda: world.captured() >= world.changes)


def unrelated_table_dropped(world: GapWorld) -> None:
    world.stop()
    world.sql("create table app.extra (id integer primary key)")
    world.resume()
    world.service.loaded(world.arn)
    until(lambda: "extra" in world.service.statistics(world.arn))
    world.sql("drop table app.extra")
    world.change()
    until(lambda: world.captured() >= world.changes)


CASES = [
    Case("slot dropped while stopped", Gap.SLOT_MISSING, dropped_while_stopped),
    Case("slot dropped while running", Gap.SLOT_MISSING, dropped_while_running),
    Case("slot made anew while stopped", Gap.SLOT_MADE_ANEW, made_anew_while_stopped),
    Case("slot made anew while running", Gap.SLOT_MADE_ANEW, made_anew_while_running),
    Case("slot moved while stopped", Gap.SLOT_MOVED, moved_while_stopped),
    Case("slot moved while running", Gap.SLOT_MOVED, moved_while_running),
    Case("slot read by another", Gap.SLOT_READ_BY_OTHER, read_while_stopped),
    Case("slot made anew with another plugin", Gap.SLOT_CHANGED, another_plugin),
    Case("slot made anew in another database", Gap.OTHER_DATABASE, another_database),
    Case("log removed under the slot", Gap.SLOT_LOG_REMOVED, log_removed),
    Case("slot idle for too long", Gap.SLOT_IDLE_TOO_LONG, idle_too_long),
    Case("publication dropped while running", Gap.PUBLICATION_MISSING, publication_dropped_while_running),
    Case("publication made anew while stopped", Gap.PUBLICATION_CHANGED, publication_dropped_and_made_anew),
    Case("table out of the publication for a while", Gap.PUBLICATION_CHANGED, publication_without_the_table),
    Case("publication of inserts only for a while", Gap.PUBLICATION_CHANGED, publication_of_inserts_only),
    Case("stored position older than the slot", Gap.SLOT_READ_BY_OTHER, state_put_back),
    Case("harmless: slot held by another for a while", None, held_by_another_for_a_while),
    Case("harmless: stopped and resumed", None, stopped_and_resumed),
    Case("harmless: another table dropped", None, unrelated_table_dropped),
]
"""Cases that leave the server running."""

QUICK = ("slot dropped while running", "slot made anew while running", "publication dropped while running")
"""Cases that are cheap, and were silent before they were looked for."""
