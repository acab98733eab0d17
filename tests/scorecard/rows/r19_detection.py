"""R19: what is lost or changed behind the platform's back is found by reconciliation, and nothing else is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from dms_assets.dms.task_reader import read_task
from dms_assets.model.names import TableName
from dms_assets.pipeline.reconciliation import reconcile as reconciliation
from tests.scorecard.figure import Budget, Outcome, Row
from tests.system.conftest import System, small_system

QUIET_ROUNDS = 3


def _table(name: str) -> TableName:
    return TableName("probation", name)


def _lose_files_of(system: System, table: TableName, *statements: str) -> int:
    """Change the source, and take the files that tell of it out of landing before anybody saw them."""
    folder = system.stack.environment.landing_dir / system.spec.folder / table.schema / table.table
    before = set(folder.glob("*.parquet"))
    system.execute(*statements)
    system.flush()
    lost = set(folder.glob("*.parquet")) - before
    for path in lost:
        path.unlink()
    return len(lost)


def _truncate(system: System) -> int:
    with psycopg.connect(system.postgres.dsn) as connection:
        row = connection.execute("select count(*) from probation.payment").fetchone()
        connection.execute("truncate probation.payment")
    assert row is not None
    return int(row[0])


def _rewrite(system: System) -> int:
    system.execute("alter table probation.office alter column name type text using upper(name)")
    with psycopg.connect(system.postgres.dsn) as connection:
        return connection.execute("select name from probation.office").rowcount


FAULTS: dict[str, tuple[TableName, Callable[[System], int]]] = {
    "rows never delivered": (
        _table("region"),
        lambda system: _lose_files_of(
            system,
            _table("region"),
            "insert into probation.region values ('ZZ99', 'Never delivered', 1, '2020-02-02')",
        ),
    ),
    "a change never delivered": (
        _table("practitioner"),
        lambda system: _lose_files_of(
            system, _table("practitioner"), "update probation.practitioner set workload = workload + 1"
        ),
    ),
    "a delete never delivered": (
        _table("contact"),
        lambda system: _lose_files_of(system, _table("contact"), "delete from probation.contact where contact_id < 5"),
    ),
    "truncated": (_table("payment"), _truncate),
    "rewritten by DDL": (_table("office"), _rewrite),
}


def _reconcile(system: System, names: list[TableName]) -> dict[TableName, bool]:
    """Tables that were compared, and whether they are equal; the sensors go on meanwhile."""

    def go_on(_: float) -> None:
        system.drive.tick(f"{system.spec.name}_dms_sensor")
        time.sleep(1)
        system.drive.settle(system.spec.name, 1)

    reconciler = reconciliation.Reconciler(system.installation, system.spec, say=lambda *_: None, pause=go_on)
    return {found.result.table: found.result.equal for found in reconciler.run(names)}


def measure(budget: Budget) -> Outcome:
    """Quiet rounds over all tables first; then every fault, each on a table of its own, and a round over all."""
    with small_system(Path(budget.folder) / "home") as system:
        system.load()
        names = list(system.spec.table_names)
        alarms = 0
        for _ in range(QUIET_ROUNDS):
            quiet = _reconcile(system, names)
            alarms += sum(not equal for equal in quiet.values())
            assert len(quiet) == len(names), "not every table was compared"
        planted = {name: plant(system) for name, (_, plant) in FAULTS.items()}
        assert read_task(system.client, system.task).status == "running"
        found = _reconcile(system, names)
    differing = {table for table, equal in found.items() if not equal}
    wanted = {table for table, _ in FAULTS.values()}
    missed, wrong = wanted - differing, differing - wanted
    return Outcome(
        f"{len(wanted & differing)} of {len(wanted)} found in the first round; {len(wrong)} false ones there,"
        f" {alarms} in {QUIET_ROUNDS} quiet rounds over {len(names)} tables"
        + (f"; missed: {', '.join(map(str, missed))}" if missed else ""),
        holds=not missed and not wrong and alarms == 0,
        observed={**planted, "quiet comparisons": QUIET_ROUNDS * len(names)},
    )


ROW = Row("R19", "Planted faults found by reconciliation; false alarms", "100 %, 0", 300, None, measure)
