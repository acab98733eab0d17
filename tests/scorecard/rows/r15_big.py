"""R15: one transaction of a million rows, and one row of 50 MB: all of it in landing, within bounded memory."""

from __future__ import annotations

import psycopg
import pyarrow.parquet as pq

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.resources import peak_megabytes
from tests.local_dms.service import Service, until
from tests.scorecard.figure import Budget, Outcome, Row

ROWS, LIMIT_MB = 1_000_000, 400
LARGE = 50 << 20
WAIT_S = 240


def _rows(service: Service, table: str) -> int:
    return sum(pq.read_metadata(path).num_rows for path in service.files("big", table, "2"))


def measure(budget: Budget) -> Outcome:
    """The transaction first, then the row: each peak is that of the process since its start."""
    count = ROWS // 5 if budget.quick else ROWS
    with EmbeddedPostgres(budget.folder / "server" / "data") as postgres:
        info = postgres.connection_info
        address = SourceAddress(info.host, info.port, info.dbname, info.username, info.password)
        with (
            Service(budget.folder / "dms", address) as service,
            psycopg.connect(address.uri(), autocommit=True) as source,
        ):
            source.execute("create schema app")
            source.execute("create table app.many (id bigint primary key, n numeric(12,2), note text)")
            source.execute("create table app.large (id integer primary key, body text, bytes bytea)")
            settings = {"TargetMetadata": {"LobMaxSize": 102_400}}
            arn = service.task("big", settings={**settings, "FullLoadSettings": {"TargetTablePrepMode": "DO_NOTHING"}})
            service.run(arn)
            assert service.process is not None
            idle = peak_megabytes(service.process.pid)
            source.execute("insert into app.many select g, g, md5(g::text) from generate_series(1, %s) g", [count])
            until(lambda: _rows(service, "many") >= count, WAIT_S)
            after_rows = peak_megabytes(service.process.pid)
            source.execute("insert into app.large values (1, repeat('x', %s), null)", [LARGE])
            until(lambda: _rows(service, "large") >= 1, WAIT_S)
            peak = peak_megabytes(service.process.pid)
            service.stop(arn)
            landed = _rows(service, "many")
            (path,) = service.files("big", "large", "2")
            length = len(pq.read_table(path, columns=["body"]).column(0)[0].as_py())
    return Outcome(
        f"peak {peak:.0f} MB (idle {idle:.0f}, after {landed:,} rows in one transaction {after_rows:.0f}, after one "
        f"row of {length / (1 << 20):.0f} MB {peak:.0f})",
        holds=peak <= LIMIT_MB and landed == count and length == LARGE,
        observed={"rows of one transaction landed": landed, "bytes of one row landed": length},
    )


ROW = Row(
    "R15",
    "One transaction of a million rows, one row of 50 MB",
    f"peak {LIMIT_MB} MB, all landed",
    90,
    None,
    measure,
    alone=True,
)
