"""PostgreSQL killed again and again while changes flow: what is delivered twice counts once, and nothing is missing."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psycopg

from dms_assets.demo.recording import record_instant
from dms_assets.lake.pinned_snapshot import pinned_snapshot, validated_identifier
from dms_assets.metadata.source_connection import SourceUnreachableError
from dms_assets.model.failpoints import KILLED_STATUS
from dms_assets.reconcile.compare import compare
from dms_assets.reconcile.comparison import Comparison
from dms_assets.sample.commit_gate import CommitGate
from dms_assets.stack.looks import TaskEndedError
from tests.processes.driven import driven, looks
from tests.processes.running_stack import SOURCE
from tests.processes.ticking import Ticking
from tests.processes.waiting import wait_for
from tests.system.conftest import System

DIES_TOO_EVERY = 3
"""In every so manieth round Local DMS dies as well, between writing files and storing the position: the one case in
which changes come into landing again. Otherwise it knows what it has, though the slot does not."""
_FAILPOINT = "local_dms.before_confirm=kill@1"


@dataclass(frozen=True)
class Redelivery:
    """`killed` counts postmasters that died, `went_back` the times that the slot had forgotten what was confirmed,
    `readers` the deaths of Local DMS; `redelivered` counts rows of validated tables that are there in several copies.
    `taken_twice` are rows of one file that are there twice, `doubled` changes that curated kept twice.
    """

    killed: int
    went_back: int
    readers: int
    transactions: int
    redelivered: int
    taken_twice: int
    doubled: int
    unequal: tuple[str, ...]
    slowest_s: float


def kill_postmasters(home: Path, times: int, seed: int) -> Redelivery:
    """Kill it `times` times in the middle of work. Raises NotReachedError if capture does not go on."""
    rng = random.Random(seed)
    killed = went_back = readers = 0
    slowest = 0.0
    with driven(home) as system:
        system.load()
        with Ticking(lambda: system.postgres.dsn, seed=seed, pause_s=0.5, rate=25.0) as ticking:
            for number in range(times):
                _work(ticking, rng.uniform(0.5, 2.5))
                if number % DIES_TOO_EVERY == 0:
                    readers += _kill_reader(system)
                confirmed = _confirmed(system)
                began = time.monotonic()
                killed += _kill(system)
                went_back += _confirmed(system) < confirmed
                if system.stack.local_dms is None or system.stack.local_dms.returncode is not None:
                    system.stack.start_local_dms()
                wait_until_captured(system)
                slowest = max(slowest, time.monotonic() - began)
        wait_until_captured(system)
        system.flush()
        system.drive.settle(system.spec.name, 6)
        redelivered, taken_twice = _copies(system)
        return Redelivery(
            killed,
            went_back,
            readers,
            ticking.transactions,
            redelivered,
            taken_twice,
            _doubled(system),
            tuple(str(table.table) for table in compared(system).unequal),
            slowest,
        )


def _work(ticking: Ticking, seconds: float) -> None:
    """Let bursts go on for a while, and be in one."""
    time.sleep(seconds)
    wait_for("work on the source", lambda: ticking.busy, 60)


def _kill(system: System) -> bool:
    """SIGKILL of the postmaster and its children; a new one is started. Whether it died of it."""
    pid = system.postgres.pid
    system.postgres.kill()
    dead = not system.postgres.running
    system.postgres.start()
    return dead and system.postgres.pid != pid


def _kill_reader(system: System) -> bool:
    """Have Local DMS die at the place where it has written files and not stored that it has."""
    local_dms = system.stack.local_dms
    assert local_dms is not None
    local_dms.stop()
    system.stack.start_local_dms(_FAILPOINT)
    wait_for("the end of Local DMS at its failpoint", lambda: system.stack.local_dms.returncode is not None)  # type: ignore[union-attr]
    return system.stack.local_dms.returncode == KILLED_STATUS  # type: ignore[union-attr]


def _confirmed(system: System) -> int:
    with psycopg.connect(system.postgres.dsn) as connection:
        row = connection.execute("select max(confirmed_flush_lsn - '0/0')::int8 from pg_replication_slots").fetchone()
    assert row is not None
    return int(row[0])


def wait_until_captured(system: System) -> None:
    """Wait until everything committed until now is in landing."""
    here = looks(system)
    end: list[int] = []

    def reached() -> bool:
        try:
            end[:] = end or [here.log_end()]
            return here.not_captured(end[0]) is None
        except (psycopg.OperationalError, SourceUnreachableError):
            return False
        except TaskEndedError as error:
            raise AssertionError(str(error)) from error

    wait_for("everything committed is captured", reached)


def _copies(system: System) -> tuple[int, int]:
    """Rows of validated tables beyond the first copy of a change, and rows of one file that are there twice."""
    again = twice = 0
    for name, metadata in system.installation.known_metadata(system.spec).items():
        found = pinned_snapshot(system.installation.catalog, validated_identifier(SOURCE, name))
        if found is None or not found.files:
            continue
        question = (
            "select count(*) - count(distinct _change_id), count(*) - count(distinct (_file, _file_row))"
            " from read_parquet(?, union_by_name => true) where _op <> 'L'"
        )
        with duckdb.connect() as connection:
            row = connection.execute(question, [list(found.files)]).fetchone()
        assert row is not None
        again += row[0] if metadata.key else 0
        twice += row[1]
    return again, twice


def _doubled(system: System) -> int:
    """Changes that curated kept twice."""
    doubled = 0
    with duckdb.connect(str(system.stack.environment.published_file), read_only=True) as connection:
        for name, metadata in system.installation.known_metadata(system.spec).items():
            if metadata.key:
                relation = f'probation_{name.schema}_curated."{name.table}_versions"'
                question = f"select count(*) - count(distinct _change_id) from {relation}"
                doubled += connection.execute(question).fetchall()[0][0]
    return doubled


def compared(system: System) -> Comparison:
    """Source and curated, as they are now."""
    known = system.installation.known_metadata(system.spec)
    tables = [known[name] for name in system.spec.table_names]
    state = record_instant(system.postgres.dsn, CommitGate(), tables, system.stack.environment.root / "proof")
    return compare(state, system.stack.environment.published_file, SOURCE, tables, as_of=False)
