"""R9: schemas, tables and columns with names that hurt, from PostgreSQL to curated."""

from __future__ import annotations

import time

from dms_assets.validation.worker_process import ValidationWorker
from tests.identifiers.fuzz import Found, fuzz, fuzzed_source
from tests.identifiers.schemas import random_schema
from tests.scorecard.figure import Budget, Outcome, Row

WANTED = 500
GROUP = 50
"""Schemas that share a dbt project: starting and parsing it takes seconds."""


def measure(budget: Budget) -> Outcome:
    """As many schemas as the budget allows, 500 at most; the quick run does one small group."""
    ends, found = time.monotonic() + budget.seconds, Found()
    wanted, group = (16, 16) if budget.quick else (WANTED, GROUP)
    with fuzzed_source(budget.folder) as (server, admin), ValidationWorker() as worker:
        while found.schemas < wanted and time.monotonic() < ends:
            first = budget.seed * 1_000 + found.schemas
            schemas = [random_schema(seed) for seed in range(first, first + group)]
            found += fuzz(server, admin, worker, budget.folder / str(first), schemas)
    return Outcome(
        f"{len(found.wrong)} wrong in {found.schemas} schemas with {found.counts['columns that need quotes']:,}"
        " columns that need quotes" + (f": {found.wrong[0][:300]}" if found.wrong else ""),
        holds=not found.wrong and found.schemas >= wanted,
        observed=dict(found.counts),
        seeds=[budget.seed * 1_000],
    )


ROW = Row(
    "R9",
    "Names that hurt: injections, collisions that are not told, values under another name",
    "0 in 500 schemas",
    600,
    25,
    measure,
)
