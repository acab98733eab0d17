"""R10: every type of PostgreSQL, by load, insert, update and null: the value that arrives is the source's."""

from __future__ import annotations

import psycopg

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.service import Service
from tests.local_dms.type_matrix import missing_base_types, run_matrix
from tests.local_dms.type_values import NULL_ONLY
from tests.scorecard.figure import Budget, Outcome, Row


def measure(budget: Budget) -> Outcome:
    """The whole matrix, in the reduced run too."""
    with EmbeddedPostgres(budget.folder / "server" / "data") as postgres:
        info = postgres.connection_info
        address = SourceAddress(info.host, info.port, info.dbname, info.username, info.password)
        with (
            Service(budget.folder / "dms", address) as service,
            psycopg.connect(address.uri(), autocommit=True) as source,
        ):
            source.execute("create schema app")
            missing = missing_base_types(source)
            matrix = run_matrix(service, source, budget.folder / "validated", "types")
    values = matrix.cells.total()
    return Outcome(
        f"{len(matrix.wrong)} of {values:,} values wrong; {matrix.types} types, {len(matrix.as_text)} of them as the "
        f"source's text, {len(NULL_ONLY)} without input (null only), {len(missing)} base types left out",
        holds=not matrix.wrong and not missing,
        observed={**matrix.cells, "a changed value is told": int(len(matrix.control) == 1)},
    )


ROW = Row("R10", "Every PostgreSQL type by load, insert, update, null, extremes", "0 values wrong", 60, 25, measure)
