"""R1: whole pipelines under random work and faults, equal to the source at every recorded instant."""

from __future__ import annotations

from collections import Counter

from tests.scorecard.figure import Budget, Outcome, Row
from tests.simulation.many import SeedResult, run_seeds
from tests.simulation.steps import Do

WANTED = 50
JOBS = 3
"""More than cores: a simulation waits for files half of its time."""
ALWAYS = ("commits", "batches", "instants of tables compared")
NAMES: dict[str, str] = {
    "commits": Do.COMMIT,
    "batches": "batches",
    "instants of tables compared": "tables compared",
    "of these after a batch, called complete": "instants called complete",
    "transactions of thousands of rows": Do.BULK,
    "transactions cut into files": "transactions cut into files",
    "keys moved or swapped": Do.MOVE,
    "roll-backs to a savepoint": Do.ROLLBACK_TO,
    "prepared transactions": Do.PREPARE,
    "reloads": Do.RELOAD,
    "resumes": Do.RESUME,
    "new streams": Do.AFRESH,
    "kills of DMS (137)": "DMS killed",
    "files delivered twice": Do.DUPLICATE,
    "TRUNCATEs": Do.TRUNCATE,
    "rewrites by DDL": Do.REWRITE,
    "DDL that changes no row": Do.QUIET_DDL,
    "TRUNCATEs found by reconciliation": "truncated and found",
    "rewrites found by reconciliation": "rewritten and found",
    "verdicts of reconciliation": "verdicts of reconciliation",
    "tables that hold as many changes as DMS counted": "tables counted as DMS did",
    "columns added": Do.ADD_COLUMN,
    "files held until metadata was read": "files held until metadata was read",
    "divergences found and repaired": "divergences found",
    "relations equal to their rebuild": "relations rebuilt",
}


def measure(budget: Budget) -> Outcome:
    """As many seeds as the budget allows, 50 at most; the reduced run takes two short ones."""
    counts: Counter[str] = Counter()
    seeds: list[int] = []
    failed: list[SeedResult] = []
    wanted, length, checkpoints = (2, 60, 1) if budget.quick else (WANTED, 150, 2)
    for result in run_seeds(
        budget.seed, wanted, length, budget.folder, jobs=JOBS, seconds=budget.seconds, checkpoints=checkpoints
    ):
        seeds.append(result.seed)
        counts.update(result.counts)
        if result.told:
            failed.append(result)
    observed = {name: counts[key] for name, key in NAMES.items() if not budget.quick or name in ALWAYS}
    if failed:
        return Outcome(
            f"{len(failed)} of {len(seeds)} seeds differ: {failed[0].told}", holds=False, observed=observed, seeds=seeds
        )
    compared = counts["tables compared"]
    left_out = counts["instants of a load written over unread"] + counts["instants at a boundary"]
    untold = counts["instants of a table that its log does not tell of"]
    return Outcome(
        f"{len(seeds)} seeds, 0 differences among {compared:,} instants of tables; {left_out:,} left out (a load "
        f"written over unread, the hundredth of a second of a reload), {untold:,} more between a TRUNCATE or a rewrite "
        "and its reload",
        holds=budget.quick or len(seeds) >= WANTED,
        observed=observed,
        seeds=sorted(seeds),
    )


ROW = Row(
    "R1",
    "Random work with faults: curated equals the source at every recorded instant",
    f"{WANTED} seeds, 0 differences",
    1500,
    40,
    measure,
    alone=True,
)
