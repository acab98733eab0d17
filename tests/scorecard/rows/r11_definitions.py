"""R11: changes of tables' definitions, at three places, as far as curated: no value under a wrong column."""

from __future__ import annotations

from tests.local_dms.ddl_cases import CASES, QUICK
from tests.local_dms.ddl_matrix import PLACES, run_matrix
from tests.scorecard.figure import Budget, Outcome, Row


def measure(budget: Budget) -> Outcome:
    """Every case at every place; some cases, each at one place, in the reduced run."""
    found = run_matrix(budget.folder, quick=budget.quick, seed=budget.seed)
    cases, places = (len(QUICK), "one place each") if budget.quick else (len(CASES), f"{len(PLACES)} places")
    return Outcome(
        f"{len(found.wrong)} wrong among {found.rows} changes in curated, of {cases} definitions at {places}; "
        f"{found.flagged} tables flagged by the comparison, {found.held} of them held, "
        f"{found.repaired} repaired by a reload",
        holds=not found.wrong and found.repaired == found.flagged,
        observed={**found.observed, "exchanged values are told": found.control},
        seeds=[budget.seed],
    )


ROW = Row(
    "R11",
    "Changes of definitions between and (where they can be) inside transactions and while down, as far as curated",
    "0 values under a wrong column, every rewrite flagged, all repaired by a reload",
    200,
    None,
    measure,
)
