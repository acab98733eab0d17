"""R19: what is lost or changed behind the platform's back is found by reconciliation, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

from dms_assets.dms import control
from dms_assets.dms.task_reader import read_task
from dms_assets.pipeline.reconciliation.reconcile import Limits
from tests.scorecard.figure import Budget, Outcome, Row
from tests.system.conftest import System, small_system
from tests.system.planted import FAULTS, LARGE_ROWS, enlarge
from tests.system.reconciled import reconcile

QUIET_ROUNDS, MOST_ROUNDS = 3, 3
LIMITS = Limits(big_rows=LARGE_ROWS)


def _strict(system: System) -> None:
    """From here on Local DMS writes updates of keys as AWS DMS does."""
    control.stop(system.client, system.task)
    settings = json.dumps({"LocalDms": {"Strict": True}})
    arn = read_task(system.client, system.task).arn
    system.client.modify_replication_task(ReplicationTaskArn=arn, ReplicationTaskSettings=settings)
    control.start(system.client, system.task)


def measure(budget: Budget) -> Outcome:
    """Quiet rounds first; then every fault, each on a table of its own, and rounds until all are found."""
    with small_system(Path(budget.folder) / "home") as system:
        rows = enlarge(system)
        system.load()
        _strict(system)
        names = list(system.spec.table_names)
        alarms = 0
        for _ in range(QUIET_ROUNDS):
            quiet = reconcile(system, names, LIMITS)
            alarms += sum(not result.equal for result in quiet.values())
        wanted = {fault: fault.plant(system, fault.table) for fault in FAULTS}
        assert read_task(system.client, system.task).status == "running"
        after: dict[str, int] = {}
        false = 0
        for number in range(1, MOST_ROUNDS + 1):
            results = reconcile(system, names, LIMITS)
            false += len({t for t, r in results.items() if not r.equal} - {fault.table for fault in FAULTS})
            for fault, found in wanted.items():
                if found.fits(results[fault.table]):
                    after.setdefault(fault.name, number)
            if len(after) == len(FAULTS):
                break
    missed = [
        f"{fault.name}: {results[fault.table].to_json()}, not {found}"
        for fault, found in wanted.items()
        if fault.name not in after
    ]
    return Outcome(
        f"{len(after)} of {len(FAULTS)} found, and told exactly, after {max(after.values(), default=0)} round at most; "
        f"{false} false ones there, {alarms} in {QUIET_ROUNDS} quiet rounds over {len(names)} tables; of {rows:,} rows "
        "compared by digests the differing keys are named" + (f"; missed: {'; '.join(missed)}" if missed else ""),
        holds=not missed and not false and not alarms and max(after.values()) == 1,
        observed={
            **{fault.name: found.total for fault, found in wanted.items()},
            "quiet comparisons": QUIET_ROUNDS * len(names),
            "quiet comparisons by digests": sum(result.method.startswith("digests") for result in quiet.values()),
        },
    )


ROW = Row(
    "R19",
    "Planted faults found by reconciliation, exactly; rounds until then; false alarms",
    "100 %, 1 round, 0",
    300,
    None,
    measure,
)
