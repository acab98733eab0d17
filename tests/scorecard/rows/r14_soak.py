"""R14: many cycles, compressed: memory, open files, retained log and event log stay what they are."""

from __future__ import annotations

from tests.processes.soak import mebibytes, soak, spread
from tests.scorecard.figure import Budget, Outcome, Row

CYCLES, LEAST = 1_440, 20
SLOPE = 1 << 20
"""Bytes of memory that a hundred cycles may add to Local DMS, which lives on; runs end, and take theirs along."""
FILES = 4
LOG = 64 << 20


def measure(budget: Budget) -> Outcome:
    """As many cycles as the budget allows, a day of one-minute cycles at most."""
    found = soak(budget.folder / "home", budget.seconds - 60, CYCLES)
    dms, own = found.per_hundred(lambda cycle: cycle.dms_rss), found.per_hundred(lambda cycle: cycle.own_rss)
    judged = found.cycles[len(found.cycles) // 3 :]
    files = max(spread([cycle.dms_files for cycle in judged]), spread([cycle.own_files for cycle in judged]))
    retained = max(cycle.retained_log for cycle in found.cycles)
    return Outcome(
        f"{len(found.cycles)} cycles, {found.cycles[-1].runs} runs: per 100 cycles Local DMS {mebibytes(dms)} and the "
        f"process that runs everything {mebibytes(own)}; open files within {files}; retained log {mebibytes(retained)} "
        f"at most; event log {found.event_bytes / 1024:.0f} kB a cycle; {len(found.alarms)} false alarms in "
        f"{found.comparisons} reconciliations meanwhile; {len(found.unequal)} tables unequal",
        holds=dms < SLOPE
        and files <= FILES
        and retained < LOG
        and not found.failures
        and not found.alarms
        and not found.unequal
        and len(found.cycles) >= LEAST,
        observed={
            "cycles": len(found.cycles),
            "runs": found.cycles[-1].runs,
            "reconciliations meanwhile": found.comparisons,
        },
    )


ROW = Row(
    "R14",
    "Soak: cycles of work, ingestion, build and upkeep, as many as five minutes allow",
    "Local DMS < 1 MB in 100 cycles, open files flat (4), retained log < 64 MB, 0 false alarms, curated = source",
    300,
    None,
    measure,
)
