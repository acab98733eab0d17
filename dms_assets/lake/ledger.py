"""The ledger: what happened to every landed file, as small append-only objects that anyone can query.

One object of JSON lines per committed batch, `<source>/<schema>/<table>/batch-<number>.jsonl`, and one per event
beside the batches, all below the ledger's root: DuckDB reads them with `read_json('.../**/*.jsonl')`. Every object
is written under a key that says what it is about, so that a repeated write changes nothing. The table commits and
the quarantine are the truth; `lake.ledger_rebuild` makes the ledger from them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import pyarrow as pa

from dms_assets.lake.object_store import ObjectNotFoundError, ObjectStore
from dms_assets.model.landed_file import FileIdentity, LandedFile
from dms_assets.model.names import TableName


class Event(StrEnum):
    """What happened to a file."""

    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    REPLAYED = "replayed"
    SUPERSEDED = "superseded"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One event of one file. Times are ISO 8601, UTC. `batch` and what belongs to it are set for accepted files."""

    source: str
    schema: str
    table: str
    key: str
    etag: str
    last_modified: str
    size: int
    kind: str
    event: str
    at: str
    rows: int | None = None
    batch: int | None = None
    batch_id: str | None = None
    snapshot_id: int | None = None
    stream: int | None = None
    load_id: str | None = None
    metadata_version: str | None = None
    archive_key: str | None = None
    quarantine_id: str | None = None
    reason: str | None = None
    by: str | None = None


LEDGER_SCHEMA = pa.schema(
    [
        pa.field(name, pa.int64() if name in {"size", "rows", "batch", "snapshot_id", "stream"} else pa.string())
        for name in LedgerRow.__dataclass_fields__
    ]
)


def ledger_row(source: str, file: LandedFile, event: Event, at: str, **facts: Any) -> LedgerRow:
    """The row for a file; `facts` are further fields of LedgerRow."""
    return LedgerRow(
        source=source,
        schema=file.parsed.table.schema,
        table=file.parsed.table.table,
        key=file.identity.key,
        etag=file.identity.etag,
        last_modified=file.identity.last_modified,
        size=file.size,
        kind=file.parsed.kind.value,
        event=event.value,
        at=at,
        **facts,
    )


def stranger_row(source: str, file: FileIdentity, size: int, event: Event, at: str, **facts: Any) -> LedgerRow:
    """The row for an object of landing that is no file of a table: schema and table are ''."""
    return LedgerRow(
        source=source,
        schema="",
        table="",
        key=file.key,
        etag=file.etag,
        last_modified=file.last_modified,
        size=size,
        kind="",
        event=event.value,
        at=at,
        **facts,
    )


class Ledger:
    """The ledger of one source. Safe for several processes: no object is ever written with two contents."""

    def __init__(self, store: ObjectStore, source: str) -> None:
        self._store = store
        self._source = source

    def announce(self, name: TableName, batch_id: str, rows: Sequence[LedgerRow]) -> None:
        """Before the commit: what the ledger will say if it takes place."""
        self._store.put(self._pending_key(name, batch_id), _lines(rows))

    def withdraw(self, name: TableName, batch_id: str) -> None:
        """The announced batch surely was not committed."""
        try:
            meta = self._store.head(self._pending_key(name, batch_id))
        except ObjectNotFoundError:
            return
        self._store.delete(meta.key, if_match=meta.etag)

    def record_batch(self, name: TableName, batch: int, batch_id: str, snapshot_id: int) -> bool:
        """After the commit: write the batch's rows, as announced. False if nothing was announced. Repeatable."""
        pending = self._pending_key(name, batch_id)
        try:
            body, meta = self._store.get(pending)
        except ObjectNotFoundError:
            return self.has_batch(name, batch)
        rows = [replace(row, batch=batch, batch_id=batch_id, snapshot_id=snapshot_id) for row in _rows(body)]
        self._store.put(self._batch_key(name, batch), _lines(rows))
        self._store.delete(pending, if_match=meta.etag)
        return True

    def has_batch(self, name: TableName, batch: int) -> bool:
        """Whether the rows of a batch are written."""
        try:
            self._store.head(self._batch_key(name, batch))
        except ObjectNotFoundError:
            return False
        return True

    def write_batch(self, name: TableName, batch: int, rows: Sequence[LedgerRow]) -> None:
        """Write the rows of a batch as they are: for a rebuild."""
        self._store.put(self._batch_key(name, batch), _lines(rows))

    def record_event(self, row: LedgerRow, number: int = 1) -> None:
        """Write an event beside the batches; the same one (event, identity, `number`) again changes nothing."""
        text = json.dumps([row.key, row.etag, row.last_modified])
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        folder = f"{self._source}/{row.schema}/{row.table}" if row.schema else f"{self._source}/unknown"
        self._store.put(f"{folder}/{row.event}-{digest}-{number:04d}.jsonl", _lines([row]))

    def rows(self, name: TableName | None = None) -> Iterable[LedgerRow]:
        """All rows of the source, or of one table, in no promised order."""
        prefix = f"{self._source}/{name.schema}/{name.table}/" if name else f"{self._source}/"
        for meta in self._store.list(prefix):
            if meta.key.endswith(".jsonl"):
                yield from _rows(self._store.get(meta.key)[0])

    def table(self, name: TableName | None = None) -> pa.Table:
        """The rows as an Arrow table of LEDGER_SCHEMA."""
        return pa.Table.from_pylist([asdict(row) for row in self.rows(name)], schema=LEDGER_SCHEMA)

    def _batch_key(self, name: TableName, batch: int) -> str:
        return f"{self._source}/{name.schema}/{name.table}/batch-{batch:010d}.jsonl"

    def _pending_key(self, name: TableName, batch_id: str) -> str:
        # Not below the tables and not .jsonl: nobody takes an announcement for a fact.
        return f"{self._source}/announced/{name.schema}/{name.table}/{batch_id}.json"


def _lines(rows: Iterable[LedgerRow]) -> bytes:
    return b"".join(json.dumps(asdict(row)).encode() + b"\n" for row in rows)


def _rows(body: bytes) -> list[LedgerRow]:
    return [LedgerRow(**json.loads(line)) for line in body.splitlines()]
