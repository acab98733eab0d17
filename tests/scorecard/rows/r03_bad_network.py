"""R3: stores and catalog that refuse, lose answers, hang and dawdle; nothing lost, nothing twice."""

from __future__ import annotations

import time
from collections import Counter

from dms_assets.validation.worker_process import ValidationWorker
from tests.scorecard.figure import Budget, Outcome, Row
from tests.simulation.bad_network import bad_network
from tests.simulation.faults import Fault

WANTED = 30
REQUESTS = ("get", "put", "copy", "delete", "list", "commit", "load table")
UNKNOWN = tuple(f"commit: {fault}" for fault in (Fault.LOST, Fault.HANG_AFTER))
"""Commits that took effect, of which nobody was told."""


def measure(budget: Budget) -> Outcome:
    """As many seeds as the budget allows, 30 at most; each is one table through many runs that fail."""
    ends = time.monotonic() + budget.seconds
    counts: Counter[str] = Counter()
    failed: list[str] = []
    seeds: list[int] = []
    with ValidationWorker() as worker:
        while len(seeds) < (3 if budget.quick else WANTED) and (not seeds or time.monotonic() < ends):
            seed = budget.seed + len(seeds)
            seeds.append(seed)
            try:
                counts.update(bad_network(seed, budget.folder / str(seed), worker))
            except AssertionError as error:
                failed.append(f"seed {seed}: {error}")
    # Of requests to a catalog there are few; a short run may meet none that goes wrong.
    wanted = [*Fault, *(name for name in (*REQUESTS, *UNKNOWN) if not budget.quick)]
    told = f"; {failed[0]}" if failed else ""
    faults = sum(counts[fault] for fault in Fault)
    return Outcome(
        f"{len(failed)} of {len(seeds)} seeds lost or doubled a row, under {faults:,} faults{told}",
        holds=not failed and (budget.quick or len(seeds) >= WANTED),
        observed={
            **{name: counts[name] for name in wanted},
            **{n: c for n, c in counts.items() if n.startswith("runs")},
        },
        seeds=seeds,
    )


ROW = Row(
    "R3",
    "Stores and catalog that refuse, lose answers after the effect, hang, or are slow",
    f"0 rows lost or doubled in {WANTED} seeds",
    300,
    20,
    measure,
)
