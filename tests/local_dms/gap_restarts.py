"""Cases that stop the source: crashes and restores, other servers at its address, settings turned down."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import psycopg
from psycopg import sql

from dms_assets.local_dms.gaps import Gap
from dms_assets.sample import postgres_cluster
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sample.unprivileged import identity
from tests.local_dms.gap_cases import CREATE, DROP, POSITION, Case
from tests.local_dms.gap_world import GapWorld
from tests.local_dms.service import until

ATTEMPTS = 6
END = "select (pg_current_wal_flush_lsn() - '0/0')::int8"


def crashed(world: GapWorld) -> None:
    """SIGKILL of the server: its slot goes back to where it was last on disk, and the task does not."""
    for _ in range(ATTEMPTS):
        world.change(5)
        until(lambda: world.captured() >= world.changes)
        world.stop()
        ahead = world.sql(POSITION, world.slot)
        world.postgres.kill()
        world.postgres.start()
        if world.sql(POSITION, world.slot) < ahead:
            break
        # The slot's last move happened to be on disk.
        world.resume()
    else:
        raise AssertionError("the slot did not go back")
    world.change(2)
    world.resume()
    until(lambda: world.captured() >= world.changes)


def restarted_while_running(world: GapWorld) -> None:
    world.restart()
    world.change()
    until(lambda: world.captured() >= world.changes)


def _put_back(world: GapWorld, more: int) -> None:
    """A copy of the data folder, changes that are captured, the copy put back, and `more` changes on top of it."""
    data = world.postgres.data_dir
    backup = data.with_name("backup")
    world.stop()
    world.restart(lambda: world.copy(data, backup))
    world.resume()
    world.change(5)
    until(lambda: world.captured() >= world.changes)
    world.stop()
    ((read,),) = world.sql(END)
    world.restart(lambda: world.copy(backup, data))
    for number in range(more):
        world.sql("insert into app.t values (%s, 0, 'in the other history')", 5000 + number)
    ((end,),) = world.sql(END)
    assert (end >= read) == bool(more), "the source's log is not where the case wants it"
    world.resume()


def put_back(world: GapWorld) -> None:
    _put_back(world, more=0)


def put_back_and_gone_on(world: GapWorld) -> None:
    """The restored source has written more than was lost: positions look right again."""
    _put_back(world, more=60)


def log_level_turned_down(world: GapWorld) -> None:
    """PostgreSQL does not start with a logical slot and this setting: the slot had to go first."""
    world.stop()
    world.sql(DROP, world.slot)
    world.postgres.stop()
    with mock.patch.dict(postgres_cluster.SETTINGS, wal_level="replica"):
        world.postgres.start()
    world.change()
    world.resume()
    world.expect_gap(Gap.LOG_LEVEL)
    world.restart()
    world.sql(CREATE, world.slot)
    world.resume()


@contextmanager
def standby(postgres: EmbeddedPostgres) -> Iterator[None]:
    """The same data folder as a standby that never hears of its primary, at the same address."""
    (postgres.data_dir / "standby.signal").touch()
    who = identity(postgres_cluster.binary("postgres"), postgres.data_dir.parent)
    who.own(postgres.data_dir / "standby.signal")
    command = postgres_cluster.server_command(postgres.data_dir, who, postgres.connection_info.port)
    with postgres.log_path.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd="/")
    try:
        until(lambda: _answers(postgres))
        yield
    finally:
        postgres_cluster.end_process(process.pid, 20)
        process.wait()


def _answers(postgres: EmbeddedPostgres) -> bool:
    try:
        psycopg.connect(postgres.dsn).close()
    except psycopg.OperationalError:
        return False
    return True


def promoted(world: GapWorld) -> None:
    """The address names a standby, which is then promoted: another timeline."""
    world.stop()
    world.change()
    world.postgres.stop()
    with standby(world.postgres):
        world.resume()
        world.expect_gap(Gap.STANDBY)
        world.sql("select pg_promote()")
        until(lambda: not world.sql("select pg_is_in_recovery()")[0][0])
    world.postgres.start()
    world.change()
    world.resume()


def another_server(world: GapWorld) -> None:
    """Another cluster at the same address, for a while: nothing is lost, and nothing is begun there."""
    world.stop()
    world.change()
    info = world.postgres.connection_info
    world.postgres.stop()
    folder = world.postgres.data_dir.parent.with_name("other")
    with EmbeddedPostgres(Path(folder) / "data", info.port) as other:
        with psycopg.connect(other.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("alter role postgres password {}").format(sql.Literal(info.password)))
            connection.execute("create schema app")
            connection.execute("create table app.t (id integer primary key, n numeric(10,2), note text)")
        world.resume()
        world.expect_gap(Gap.OTHER_SYSTEM)
        with psycopg.connect(world.postgres.dsn, autocommit=True) as connection:
            assert connection.execute("select count(*) from pg_replication_slots").fetchone() == (0,)
    world.postgres.start()
    world.resume()
    until(lambda: world.captured() >= world.changes)


RESTARTS = [
    Case("harmless: source killed, slot goes back", None, crashed),
    Case("harmless: source restarted while running", None, restarted_while_running),
    Case("source put back to an earlier time", Gap.LOG_ENDS_EARLIER, put_back),
    Case("source put back, and gone on from there", Gap.HISTORY_CHANGED, put_back_and_gone_on),
    Case("wal_level turned down, slot made anew", Gap.SLOT_MADE_ANEW, log_level_turned_down),
    Case("another server at the address for a while", None, another_server),
    Case("standby, then promoted: another timeline", Gap.OTHER_TIMELINE, promoted),
]
"""Cases that stop the server. The last one leaves it on another timeline."""
