"""A small lake: one source, one table, files as DMS writes them, and a task that says what the test wants."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog

from dms_assets.lake.batch_attempt import Observation, TableIntake
from dms_assets.lake.commit_protocol import ingest_table
from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.iceberg import local_catalog
from dms_assets.lake.ledger import Ledger, LedgerRow
from dms_assets.lake.object_store import ObjectStore
from dms_assets.lake.pinned_snapshot import PinnedSnapshot, pinned_snapshot, validated_identifier
from dms_assets.lake.quarantine import Quarantine
from dms_assets.lake.stores import LakeStores
from dms_assets.lake.table_outcome import TableOutcome
from dms_assets.model.failpoints import FailpointError
from dms_assets.model.landed_file import load_file_name
from dms_assets.model.load import Stream
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.model.task_state import TABLE_COMPLETED, TableState
from dms_assets.validation.worker_process import ValidationWorker

PERSON = TableMetadata(
    TableName("app", "person"),
    (
        ColumnMetadata("id", LogicalType.parse("int32"), "integer", nullable=False),
        ColumnMetadata("name", LogicalType.parse("string"), "varchar(10)", length=10),
        ColumnMetadata("status", LogicalType.parse("string"), "status", nullable=False, enum=("OPEN", "CLOSED")),
        ColumnMetadata("amount", LogicalType.parse("decimal(10,2)"), "numeric(10,2)"),
        ColumnMetadata("seen_at", LogicalType.parse("timestamp"), "timestamp"),
    ),
    ("id",),
)
NO_KEY = replace(PERSON, name=TableName("app", "note"), key=())


def source_spec(**dms: Any) -> SourceSpec:
    return SourceSpec.model_validate(
        {
            "name": "shop",
            "engine": "postgres",
            "connection": {"secret": "shop/dms"},
            "schema": "app",
            "tables": [{"name": "person", "checks": [{"column": "amount", "ge": 0}]}, "note"],
            "dms": {"unique_positions": True, **dms},
        }
    )


def rows(count: int, first: int = 1, **columns: Any) -> dict[str, Any]:
    """The data columns of rows with the keys `first`..., overridden by `columns`."""
    data = {
        "id": pa.array(range(first, first + count), pa.int32()),
        "name": pa.array([f"n{index}" for index in range(count)], pa.string()),
        "status": pa.array(["OPEN"] * count, pa.string()),
        "amount": pa.array(list(range(count)), pa.decimal128(10, 2)),
        "seen_at": pa.array(list(range(count)), pa.timestamp("us", tz="UTC")),
    }
    return {**data, **columns}


def load_table(data: dict[str, Any]) -> pa.Table:
    """A LOAD file's content: no Op, empty sequence."""
    count = len(next(iter(data.values())))
    empty = pa.array([""] * count, pa.string())
    stamp = pa.array(["2026-01-01 00:00:00.000000"] * count, pa.string())
    return pa.table({"dms_timestamp": stamp, **data, "dms_change_seq": empty, "dms_stream_position": empty})


def cdc_table(data: dict[str, Any], op: str = "I", seq: int = 1) -> pa.Table:
    """A CDC file's content: changes of one operation, in sequence."""
    count = len(next(iter(data.values())))
    numbers = range(seq, seq + count)
    return pa.table(
        {
            "Op": pa.array([op] * count, pa.string()),
            "dms_timestamp": pa.array([f"2026-01-01 00:00:00.{number:06d}" for number in numbers], pa.string()),
            **data,
            "dms_change_seq": pa.array([f"2026010100000000{number:019d}" for number in numbers], pa.string()),
            "dms_stream_position": pa.array([f"p{number}" for number in numbers], pa.string()),
        }
    )


def parquet(table: pa.Table) -> bytes:
    body = io.BytesIO()
    pq.write_table(table, body, store_schema=False)
    return body.getvalue()


@dataclass
class World:
    """Stores in a folder (or given), and the state DMS would report."""

    home: Path
    landing: ObjectStore
    stores: LakeStores
    worker: ValidationWorker
    spec: SourceSpec = field(default_factory=source_spec)
    metadata: TableMetadata = PERSON
    start: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    streams: list[Stream] = field(default_factory=list)
    state: TableState | None = None

    def __post_init__(self) -> None:
        if not self.streams:
            self.streams.append(Stream(1, "arn:task", self.start - timedelta(hours=1)))

    @property
    def name(self) -> TableName:
        return self.metadata.name

    @property
    def catalog(self) -> Catalog:
        return self.stores.catalog

    def key(self, file_name: str) -> str:
        return f"{self.spec.folder}/{self.name.schema}/{self.name.table}/{file_name}"

    def land(self, file_name: str, content: pa.Table | bytes) -> str:
        body = content if isinstance(content, bytes) else parquet(content)
        key = self.key(file_name)
        self.landing.put(key, body)
        return key

    def land_load(self, *tables: pa.Table) -> None:
        for number, table in enumerate(tables, 1):
            self.land(load_file_name(number), table)

    def loaded(self, row_count: int, *, ago: timedelta = timedelta(minutes=5), **facts: Any) -> None:
        """DMS says that the table's load is complete."""
        started = self.start - ago
        self.state = TableState(self.name, TABLE_COMPLETED, started, started + timedelta(minutes=1), row_count, **facts)

    def intake(self) -> TableIntake:
        return TableIntake(
            self.spec,
            self.metadata,
            self.state,
            lambda: Observation(tuple(self.streams), self.state),
            one_snapshot=True,
        )

    def ingest(self, **changes: Any) -> TableOutcome:
        intake = replace(self.intake(), **changes)
        return ingest_table(self.stores, intake, self.worker, lambda: datetime.now(UTC))

    def pinned(self) -> PinnedSnapshot:
        found = pinned_snapshot(self.catalog, validated_identifier(self.spec.name, self.name))
        assert found is not None
        return found

    def table_rows(self, columns: str = "_op, id", order: str = "_op, id, _file_row") -> list[tuple[Any, ...]]:
        files = list(self.pinned().files)
        if not files:
            return []
        with duckdb.connect() as connection:
            query = f"select {columns} from read_parquet(?, union_by_name => true) order by {order}"
            return connection.execute(query, [files]).fetchall()

    def listed(self) -> list[str]:
        return sorted(meta.key.rpartition("/")[2] for meta in self.landing.list())

    @property
    def quarantine(self) -> Quarantine:
        return Quarantine(self.stores.quarantine, self.spec.name)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.stores.ledger, self.spec.name)

    def ledger_rows(self) -> list[LedgerRow]:
        return sorted(self.ledger.rows(self.name), key=lambda row: (row.event, row.key, row.at))

    def archived(self) -> list[str]:
        return sorted(meta.key for meta in self.stores.archive.list())


def folder_world(home: Path, worker: ValidationWorker, **facts: Any) -> World:
    names = ("landing", "archive", "quarantine", "ledger")
    landing, archive, quarantine, ledger = (FolderStore(home / name) for name in names)
    stores = LakeStores(landing, archive, quarantine, ledger, local_catalog(home / "lake"), home / "lake" / "scratch")
    return World(home, landing, stores, worker, **facts)


@contextmanager
def dying_at(module: str, name: str) -> Iterator[None]:
    """Inside, the failpoint `name`, as far as it is in a module, raises FailpointError."""

    def die(reached: str) -> None:
        if reached == name:
            raise FailpointError(f"failpoint {name} reached")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{module}.reach", die)
        yield


def newer(store: FolderStore, key: str, seconds: float) -> None:
    """Set a file's time to so many seconds from now."""
    path = store.root / key
    at = datetime.now(UTC).timestamp() + seconds
    os.utime(path, (at, at))


def event_counts(ledger: Sequence[LedgerRow]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in ledger:
        counts[row.event] = counts.get(row.event, 0) + 1
    return counts
