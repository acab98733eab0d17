"""R10: every type of PostgreSQL, by load, insert, update and null: the value in curated is the source's."""

from __future__ import annotations

from tests.local_dms.type_matrix import run_matrix
from tests.local_dms.type_values import NULL_ONLY
from tests.scorecard.figure import Budget, Outcome, Row


def measure(budget: Budget) -> Outcome:
    """The whole matrix, in the reduced run too."""
    matrix = run_matrix(budget.folder)
    values = matrix.cells.total()
    rules = "; ".join(f"{count} types: {rule}" for rule, count in matrix.rules.most_common())
    return Outcome(
        f"{len(matrix.wrong)} of {values:,} values wrong in curated, which reconciles ({matrix.rows} rows); "
        f"{matrix.types} types, {len(NULL_ONLY)} of them without input (null only), {len(matrix.missing)} base types "
        f"left out; {matrix.nulled} values null by a rule. {rules}",
        holds=not matrix.wrong and not matrix.missing,
        observed={
            **matrix.cells,
            "compared with values written by hand": matrix.written,
            "a changed value is told": int(len(matrix.control) == 1),
            "a change behind the platform's back is told": int(len(matrix.reconciled_control) == 1),
        },
    )


ROW = Row("R10", "Every PostgreSQL type by load, insert, update, null, extremes", "0 values wrong", 60, 25, measure)
