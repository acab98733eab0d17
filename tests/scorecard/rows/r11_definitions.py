"""R11: changes of tables' definitions, at three places: no value under a wrong column, rewrites flagged."""

from __future__ import annotations

import psycopg

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.ddl_cases import CASES
from tests.local_dms.ddl_matrix import run_matrix
from tests.local_dms.service import Service
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
            found = run_matrix(service, source, "definitions")
    return Outcome(
        f"{len(found.wrong)} wrong among {found.rows} changes of {len(CASES)} definitions at 3 places; "
        f"{found.diverged} tables flagged, {found.observed['repaired by a reload']} repaired by a reload, "
        f"{found.held} held",
        holds=not found.wrong and found.observed["repaired by a reload"] == found.diverged,
        observed={**found.observed, "exchanged values are told": found.control},
    )


ROW = Row(
    "R11",
    "Changes of definitions between and inside transactions and while down",
    "0 values under a wrong column, every rewrite flagged",
    90,
    40,
    measure,
)
