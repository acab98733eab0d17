"""R12: two daemons on one instance, manual runs of the same tables, a run cancelled half way, a second stack."""

from __future__ import annotations

from tests.processes.at_once import (
    applied,
    cancel_half_way,
    daemons_met,
    ended,
    launched_twice,
    manual_runs,
    overlaps,
    second_daemon,
    seconds_until_curated,
)
from tests.processes.proof import prove
from tests.processes.running_stack import RunningStack
from tests.processes.ticking import Ticking
from tests.scorecard.figure import Budget, Outcome, Row

ROUNDS, MANUAL = 2, 3


def measure(budget: Budget) -> Outcome:
    """All of it on one stack."""
    with RunningStack(budget.folder / "home") as stack:
        stack.json("sync")
        refused = stack.command("dev")
        ends: dict[str, int] = {}
        with second_daemon(stack) as log, Ticking(lambda: stack.dsn, seed=budget.seed, pause_s=5.0):
            for _ in range(ROUNDS):
                for status, count in ended(stack, manual_runs(stack, MANUAL)).items():
                    ends[status] = ends.get(status, 0) + count
            stack.insert_region("C001")
            cancelled = cancel_half_way(stack)
        after_s = seconds_until_curated(stack, "C001")
        met = daemons_met(stack, log)
        proof, once = prove(stack), applied(stack)
        return Outcome(
            f"{once.rows_twice} rows and {once.files_twice} files applied twice; {proof}; manual runs: {ends}; "
            f"{launched_twice(stack)} runs were launched twice; a cancelled run made up for in {after_s:.0f} s",
            holds=proof.holds and once.once and set(ends) == {"SUCCESS"},
            observed={
                "daemons that met another": met,
                "manual runs": ROUNDS * MANUAL,
                "pairs of runs at work at once": overlaps(stack),
                "runs cancelled half way": cancelled == "CANCELED",
                "second stacks refused": refused.returncode != 0 and "already run by process" in refused.stderr,
            },
            seeds=[budget.seed],
        )


ROW = Row(
    "R12",
    "Two daemons, 3 manual runs of all tables at once, a cancelled run, a second stack on the folder",
    "each change applied once, 0 lost, 0 stuck runs, curated equals the source",
    300,
    None,
    measure,
)
