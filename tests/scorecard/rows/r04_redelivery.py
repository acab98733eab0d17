"""R4: PostgreSQL killed again and again while changes flow, and now and then who reads it."""

from __future__ import annotations

from tests.processes.postmaster import kill_postmasters
from tests.scorecard.figure import Budget, Outcome, Row

FULL, QUICK = 20, 3


def measure(budget: Budget) -> Outcome:
    """So many kills, whatever they take."""
    kills = QUICK if budget.quick else FULL
    found = kill_postmasters(budget.folder / "home", kills, budget.seed)
    doubled = found.taken_twice + found.doubled
    return Outcome(
        f"{found.killed} kills: {found.redelivered} redelivered changes in validated tables, {doubled} counted twice, "
        f"{len(found.unequal)} tables unequal; capture goes on within {found.slowest_s:.0f} s",
        holds=not doubled and not found.unequal and found.killed >= kills,
        observed={
            "postmasters killed": found.killed,
            "slots that went back": found.went_back,
            "deaths of Local DMS between files and position": found.readers,
            "redelivered changes": found.redelivered,
            "transactions": found.transactions,
        },
        seeds=[budget.seed],
    )


ROW = Row(
    "R4",
    f"Redelivery: postmaster killed {FULL} times while changes flow",
    "0 changes counted twice, all rows there, > 0 changes redelivered",
    300,
    None,
    measure,
)
