"""The ledger: what happened to every landed file, as small append-only objects that anyone can query.

One object of JSON lines per committed batch, `<source>/<schema>/<table>/batch-<number>.jsonl`, and one per event
beside the batches, all below the ledger's root; batches of long ago are gathered, PART of them in one compressed
object, `batches-<first>.jsonl.gz`. DuckDB reads them all with `read_json('.../**/*.jsonl*')`. Every object
is written under a key that says what it is about, so that a repeated write changes nothing. The table commits and
the quarantine are the truth; `lake.ledger_rebuild` makes the ledger from them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa

from dms_assets.lake.object_store import ObjectMeta, ObjectNotFoundError, ObjectStore
from dms_assets.lake.removed import Removed
from dms_assets.model.document_format import dump, load
from dms_assets.model.failpoints import reach
from dms_assets.model.landed_file import FileIdentity, LandedFile
from dms_assets.model.names import TableName

FORMAT = 1
"""Of a row; a member of every line, and of no LedgerRow."""
PART = 250
"""Batches in one object, once they are gathered."""


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
        rows = [replace(row, batch=batch, batch_id=batch_id, snapshot_id=snapshot_id) for row in _rows(body, pending)]
        self._store.put(self._batch_key(name, batch), _lines(rows))
        reach("lake.after_batch_rows")
        self._store.delete(pending, if_match=meta.etag)
        return True

    def has_batch(self, name: TableName, batch: int) -> bool:
        """Whether the rows of a batch are written, by itself or with others."""
        return self._exists(self._batch_key(name, batch)) or self._exists(self._part_key(name, _first_of(batch)))

    def gather(self, name: TableName, newest: int, *, dry_run: bool = False) -> Removed:
        """Put the rows of old batches together, PART of them in an object; counts the objects this does away with.

        `newest` is the table's last batch: it and its part stay as they are, for a run may still write them. A part's
        content follows from its batches, so killed or doubled work is done again without harm; a reader sees a row
        twice between the writing of a part and the removal of its batches. Parts without all their batches are left.
        """
        parts: dict[int, list[ObjectMeta]] = {}
        for meta in self._store.list(f"{self._table_folder(name)}batch-"):
            parts.setdefault(_first_of(_number(meta.key)), []).append(meta)
        removed = Removed()
        for first, metas in parts.items():
            written = self._exists(self._part_key(name, first))
            if newest < first + PART or (len(metas) < PART and not written):
                continue
            removed += Removed(len(metas), sum(meta.size for meta in metas))
            if not dry_run:
                self._gather(name, first, sorted(metas, key=lambda meta: meta.key), written=written)
        return removed

    def _gather(self, name: TableName, first: int, metas: Sequence[ObjectMeta], *, written: bool) -> None:
        if not written:
            body = b"".join(self._store.get(meta.key, if_match=meta.etag)[0] for meta in metas)
            self._store.put(self._part_key(name, first), gzip.compress(body, mtime=0))
        reach("retention.after_ledger_part")
        for meta in metas:
            self._store.delete(meta.key, if_match=meta.etag)

    def forget_announcements(
        self, name: TableName, batch: int, batch_id: str | None, before: datetime, *, dry_run: bool = False
    ) -> Removed:
        """Remove announcements from before an instant that nobody needs any more.

        `batch` and `batch_id` are the table's last: only that one may be committed and not be recorded yet.
        """
        removed = Removed()
        needed = self._pending_key(name, batch_id) if batch_id and not self.has_batch(name, batch) else None
        for meta in list(self._store.list(self._pending_folder(name))):
            if meta.last_modified >= before or meta.key == needed:
                continue
            removed += Removed(1, meta.size)
            if not dry_run:
                self._store.delete(meta.key, if_match=meta.etag)
        return removed

    def clear_parts(self, name: TableName) -> None:
        """Remove gathered rows: before a rebuild, which writes each batch by itself."""
        for meta in list(self._store.list(f"{self._table_folder(name)}batches-")):
            self._store.delete(meta.key, if_match=meta.etag)

    def write_batch(self, name: TableName, batch: int, rows: Sequence[LedgerRow]) -> None:
        """Write the rows of a batch as they are: for a rebuild."""
        self._store.put(self._batch_key(name, batch), _lines(rows))

    def record_event(self, row: LedgerRow, number: int = 1) -> None:
        """Write an event beside the batches; the same one (event, identity, `number`) again changes nothing."""
        text = json.dumps([row.key, row.etag, row.last_modified])
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        folder = f"{self._source}/{row.schema}/{row.table}" if row.schema else f"{self._source}/unknown"
        self._store.put(f"{folder}/{row.event}-{digest}-{number:04d}.jsonl", _lines([row]))

    def rows(self, name: TableName | None = None) -> list[LedgerRow]:
        """All rows of the source, or of one table, each once, in no promised order."""
        prefix = self._table_folder(name) if name else f"{self._source}/"
        while True:
            found = [meta for meta in self._store.list(prefix) if meta.key.endswith((".jsonl", _PART_SUFFIX))]
            try:
                return list(dict.fromkeys(row for meta in found for row in self._rows_of(meta)))
            except ObjectNotFoundError:
                continue  # gathered since it was listed: its rows are in a part that the list lacks

    def _rows_of(self, meta: ObjectMeta) -> list[LedgerRow]:
        body, _ = self._store.get(meta.key)
        return _rows(gzip.decompress(body) if meta.key.endswith(_PART_SUFFIX) else body, meta.key)

    def table(self, name: TableName | None = None) -> pa.Table:
        """The rows as an Arrow table of LEDGER_SCHEMA."""
        return pa.Table.from_pylist([asdict(row) for row in self.rows(name)], schema=LEDGER_SCHEMA)

    def _exists(self, key: str) -> bool:
        try:
            self._store.head(key)
        except ObjectNotFoundError:
            return False
        return True

    def _table_folder(self, name: TableName) -> str:
        return f"{self._source}/{name.schema}/{name.table}/"

    def _batch_key(self, name: TableName, batch: int) -> str:
        return f"{self._table_folder(name)}batch-{batch:010d}.jsonl"

    def _part_key(self, name: TableName, first: int) -> str:
        return f"{self._table_folder(name)}batches-{first:010d}{_PART_SUFFIX}"

    def _pending_folder(self, name: TableName) -> str:
        # Not below the tables and not .jsonl: nobody takes an announcement for a fact.
        return f"{self._source}/announced/{name.schema}/{name.table}/"

    def _pending_key(self, name: TableName, batch_id: str) -> str:
        return f"{self._pending_folder(name)}{batch_id}.json"


_PART_SUFFIX = ".jsonl.gz"


def _first_of(batch: int) -> int:
    """The first batch of the part that a batch belongs to: 1, PART + 1, ..."""
    return (batch - 1) // PART * PART + 1


def _number(key: str) -> int:
    return int(key.rpartition("batch-")[2].removesuffix(".jsonl"))


def _lines(rows: Iterable[LedgerRow]) -> bytes:
    return b"".join(dump(asdict(row), FORMAT).encode() + b"\n" for row in rows)


def _rows(body: bytes, key: str) -> list[LedgerRow]:
    return [LedgerRow(**load(line, FORMAT, f"the ledger's {key}")) for line in body.splitlines()]
