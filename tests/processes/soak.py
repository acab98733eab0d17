"""Many cycles of one small stack: what the processes that live long hold, and what is kept on disk, cycle by cycle."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil

from dms_assets.pipeline.reconciliation.reconcile import Limits
from dms_assets.reconcile.comparison import Comparison
from dms_assets.sample.workload_ticker import retained_log
from dms_assets.stack.dagster_instance import prepare
from tests.processes.driven import driven
from tests.processes.postmaster import compared, wait_until_captured
from tests.system.conftest import System
from tests.system.reconciled import reconcile

_MIB = 1 << 20
_RECONCILED_EVERY = 8
_SETTLES = 0.3
"""The first part of all cycles, in which caches fill, is not judged."""


@dataclass(frozen=True)
class Cycle:
    """After one cycle: resident bytes and open files of the process that ran everything (`own`) and of Local DMS."""

    own_rss: int
    own_files: int
    dms_rss: int
    dms_files: int
    retained_log: int
    event_log: int
    runs: int


@dataclass(frozen=True)
class Soak:
    """All cycles, and what was wrong with curated at the end."""

    cycles: tuple[Cycle, ...]
    failures: int
    unequal: tuple[str, ...]
    comparisons: int
    alarms: tuple[str, ...]
    """What reconciliation compared meanwhile, and what it said differs."""

    def per_hundred(self, value: Callable[[Cycle], int]) -> float:
        """How much a value grows in a hundred cycles, by a straight line through those after the first ones."""
        judged = [float(value(cycle)) for cycle in self.cycles[int(len(self.cycles) * _SETTLES) :]]
        return 100 * statistics.linear_regression(range(len(judged)), judged).slope

    @property
    def event_bytes(self) -> int:
        """What a cycle adds to Dagster's databases."""
        return round(self.per_hundred(lambda cycle: cycle.event_log) / 100)


def soak(home: Path, seconds: float, most: int) -> Soak:
    """Cycles until the time is over, `most` at most: a change on the source, capture, ingestion, build."""
    prepare(home / "dagster")
    with driven(home, dg.DagsterInstance.from_config(str(home / "dagster"))) as system:
        system.load()
        names = list(system.spec.table_names)
        cycles: list[Cycle] = []
        comparisons, alarms = 0, list[str]()
        ends = time.monotonic() + seconds
        while len(cycles) < most and time.monotonic() < ends:
            _cycle(system, len(cycles))
            cycles.append(_look(system, home))
            if len(cycles) % _RECONCILED_EVERY == 0:
                results = reconcile(system, names, Limits())
                comparisons += len(results)
                alarms += [f"cycle {len(cycles)}: {table}" for table, result in results.items() if not result.equal]
        failures = len(system.drive.failures)
        system.drive.settle(system.spec.name, 4)
        found: Comparison = compared(system)
        unequal = tuple(str(table.table) for table in found.unequal)
        return Soak(tuple(cycles), failures, unequal, comparisons, tuple(alarms))


def _cycle(system: System, number: int) -> None:
    """One row comes, one changes, one goes; all of it reaches curated."""
    code = f"S{number % 1000:03d}"
    system.execute(
        f"delete from probation.region where code = '{code}'",
        f"insert into probation.region (code, name) values ('{code}', 'soak {number}')",
        f"update probation.region set population = {number} where code = 'R1'",
    )
    wait_until_captured(system)
    system.drive.settle(system.spec.name, 2)
    # The results of runs are kept for tests that look at them; here they would be what grows.
    system.drive.runs = system.drive.failures


def _look(system: System, home: Path) -> Cycle:
    gc.collect()
    own = psutil.Process()
    assert system.stack.local_dms is not None
    dms = psutil.Process(system.stack.local_dms.pid)
    return Cycle(
        own.memory_info().rss,
        own.num_fds(),
        dms.memory_info().rss,
        dms.num_fds(),
        retained_log(system.postgres.dsn),
        _size(home / "dagster"),
        len(system.drive.instance.get_run_ids()),
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def mebibytes(number: float) -> str:
    """In words."""
    return f"{number / _MIB:.1f} MB"


def spread(values: Sequence[int]) -> int:
    """Between the least and the most."""
    return max(values) - min(values)
