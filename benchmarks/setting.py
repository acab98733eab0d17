"""What the Local DMS benchmarks share: a PostgreSQL, a 13-column table, a task's context without a service."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from dms_assets.dms.table_mappings import parse_mappings
from dms_assets.local_dms.context import TaskContext
from dms_assets.local_dms.files.layout import FileLayout
from dms_assets.local_dms.files.target import FolderTarget, clear_workspace
from dms_assets.local_dms.postgres.catalog import SourceTable, read_tables
from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.local_dms.settings import TaskSettings, merged, source_options
from dms_assets.local_dms.store import Store
from dms_assets.local_dms.tables import COMPLETED, new_statistics
from dms_assets.model.names import TableName
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sample.postgres_cluster import binary

TABLE = TableName("public", "offender_event")
COLUMNS = (
    "event_id bigint primary key, offender_id integer not null, event_type varchar(20), event_date date, "
    "created_at timestamptz, updated_at timestamp, amount numeric(12,2), score double precision, active boolean, "
    "reference uuid, notes text, location_code char(6), measure numeric"
)
VALUES = (
    "g, g % 1000000, 'TYPE_' || g % 17, date '2000-01-01' + (g % 9000)::int, now() - g * interval '1 second', "
    "timestamp '2020-01-01' + g * interval '7 second', (g % 1000000) / 7.0, g / 3.0, g % 3 = 0, gen_random_uuid(), "
    "repeat('note é ' || g || ' ', 1 + (g % 8)::int), 'LOC' || g % 100, case when g % 10 > 0 then g / 7.0 end"
)
FORMAT = "13 columns and 2 added; Parquet, row groups of 10,000, dictionaries, fsync of file and folder"


@contextmanager
def database(rows: int) -> Iterator[tuple[SourceAddress, psycopg.Connection[Any], Path]]:
    with (
        tempfile.TemporaryDirectory(prefix="local-dms-benchmark-") as folder,
        EmbeddedPostgres(Path(folder) / "data") as server,
    ):
        info = server.connection_info
        source = SourceAddress(info.host, info.port, info.dbname, info.username, info.password)
        with source.connect() as connection:
            connection.execute(f"create table {TABLE.table} ({COLUMNS})")
            connection.execute(f"insert into {TABLE.table} select {VALUES} from generate_series(1::bigint, {rows}) g")
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")
            yield source, connection, Path(folder)


def context(source: SourceAddress, folder: Path, table: SourceTable, compression: str) -> TaskContext:
    (folder / "buckets" / "landing").mkdir(parents=True, exist_ok=True)
    everything = {"schema-name": TABLE.schema, "table-name": "%"}
    added = {"dms_change_seq": "$AR_H_CHANGE_SEQ", "dms_stream_position": "$AR_H_STREAM_POSITION"}
    rules: list[dict[str, Any]] = [{"rule-type": "selection", "rule-action": "include", "object-locator": everything}]
    for name, expression in added.items():
        rule = {"rule-type": "transformation", "rule-target": "column", "rule-action": "add-column"}
        rules.append({**rule, "object-locator": everything, "value": name, "expression": expression})
    endpoint = {"MapUnboundedNumericAsString": True, "MapBooleanAsBoolean": True}
    settings = TaskSettings.from_document(merged('{"TargetMetadata": {"LobMaxSize": 102400}}'), endpoint)
    s3 = {"BucketName": "landing", "DataFormat": "parquet", "TimestampColumnName": "dms_timestamp"}
    store = Store(folder / f"{time.time_ns()}.db")
    store.put("task", "benchmark", "benchmark", {})
    store.reset_statistics("benchmark", [new_statistics(table.name, COMPLETED)])
    made = TaskContext(
        arn="benchmark",
        identifier="benchmark",
        migration_type="full-load-and-cdc",
        fresh_start=time.time(),
        source=source,
        options=source_options(settings, endpoint),
        layout=FileLayout.from_settings({**s3, "CompressionType": compression}),
        settings=settings,
        mappings=parse_mappings(json.dumps({"rules": rules})),
        target=FolderTarget(folder / "buckets", "landing", "benchmark"),
        store=store,
        stop=threading.Event(),
        wake=threading.Event(),
    )
    clear_workspace(made.target.workspace)
    return made


def table_of(connection: psycopg.Connection[Any]) -> SourceTable:
    (table,) = read_tables(connection, [TABLE])
    return table


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def psql_copy(source: SourceAddress) -> None:
    """The limit of loads: the server's COPY in binary, thrown away by psql."""
    environment = {**os.environ, "PGPASSWORD": source.password}
    command = [str(binary("psql")), "-h", source.host, "-p", str(source.port), "-U", source.user, "-d", source.database]
    copy = f"copy {TABLE.table} to stdout (format binary)"
    subprocess.run([*command, "-c", copy], stdout=subprocess.DEVNULL, env=environment, check=True)


def report(name: str, seconds: list[float], limit: list[float], rows: int, *, inverse: bool) -> None:
    """One line: median and best, rates, and the ratio to the limit measured between the same runs."""
    pairs = [(b / a if inverse else a / b) for a, b in zip(seconds, limit, strict=True)]
    best = min(limit) / min(seconds) if inverse else min(seconds) / min(limit)
    print(
        f"{name:<34} median {statistics.median(seconds):6.2f} s, best {min(seconds):6.2f} s, "
        f"{rows / statistics.median(seconds):>9,.0f} rows/s, "
        f"ratio median {statistics.median(pairs):.2f}, best {best:.2f}"
    )


def peak_rss_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
