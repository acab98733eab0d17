"""The durable state of Local DMS: one SQLite file, every change on disk before a call returns."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dms_assets.model.document_format import check_format
from dms_assets.model.names import TableName

Document = dict[str, Any]

FORMAT = 1
"""Of the file, in its `user_version`; 0 in files from before it was written."""

_SCHEMA = """
create table if not exists resource (
    kind text not null, arn text primary key, identifier text not null, document text not null,
    unique (kind, identifier)
);
create table if not exists table_statistics (
    task text not null, schema_name text not null, table_name text not null, document text not null,
    primary key (task, schema_name, table_name)
);
create table if not exists stream (task text primary key, document text not null);
create table if not exists event (
    id integer primary key autoincrement, at real not null, kind text not null, identifier text not null,
    category text not null, message text not null
);
"""


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream of changes of a task, as far as it is durable.

    `fresh_start` (seconds since 1970) tells streams of a task apart. Everything that committed before `durable` (an
    LSN) is in durable files; `tick` and `counter` are the clock there, so that reading on from `durable` gives every
    change the same sequence again. `tables` are the relations of the stream by oid: name and key columns.

    The rest lets a later start see that source and stream are still those (see `continuity`): end and commit time of
    the last transaction that was read, the number of transactions its slot had decoded, the forms that its
    publications may have, and the gap that broke it, if one did.
    """

    fresh_start: float
    slot: str
    system: str
    timeline: int
    durable: int
    tick: int
    counter: int
    tables: dict[int, tuple[TableName, tuple[str, ...]]]
    last_end: int = 0
    last_micros: int = 0
    decoded: int = 0
    publications: tuple[dict[str, str], ...] = ()
    broken: str = ""

    def to_json(self) -> Document:
        """A JSON object; `from_json` reads it back."""
        tables = [[oid, name.schema, name.table, list(key)] for oid, (name, key) in self.tables.items()]
        return {**asdict(self), "tables": tables}

    @classmethod
    def from_json(cls, document: Document) -> StreamState:
        """The state that `to_json` wrote."""
        tables = {oid: (TableName(schema, table), tuple(key)) for oid, schema, table, key in document["tables"]}
        publications = tuple(document.get("publications", ()))
        return cls(**{**document, "tables": tables, "publications": publications})

    def with_tables(self, tables: Mapping[int, tuple[TableName, tuple[str, ...]]]) -> StreamState:
        """The same stream with relations taken up: of those of one name the last one is the table."""
        others = {oid: known for oid, known in self.tables.items() if oid not in tables}
        return replace(self, tables={**others, **tables})

    def at(self, durable: int, tick: int, counter: int, last: tuple[int, int] = (0, 0)) -> StreamState:
        """The same stream further on; `last` is the end and time of the last transaction, (0, 0) if there was none."""
        end, micros = max((self.last_end, self.last_micros), last)
        return replace(self, durable=durable, tick=tick, counter=counter, last_end=end, last_micros=micros)


class Store:
    """Documents by kind and ARN, table statistics, streams, events. Safe to use from several threads.

    Raises DocumentFormatError for a file that a newer release wrote, and leaves it as it is.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._open(path)
        except BaseException:
            self._connection.close()
            raise
        self._depth = 0

    def _open(self, path: Path) -> None:
        path.chmod(0o600)
        (found,) = self._connection.execute("pragma user_version").fetchone()
        check_format(found, FORMAT, str(path))
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = full")
        self._connection.executescript(_SCHEMA)
        if found != FORMAT:
            # Written only where it is not there: a start must not need room on its disk.
            self._connection.execute(f"pragma user_version = {FORMAT}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is stored together, or not at all."""
        with self._lock:
            if self._depth:
                yield
                return
            self._connection.execute("begin immediate")
            self._depth = 1
            try:
                yield
                # One that fails may have rolled the transaction back, or left it open.
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise
            finally:
                self._depth = 0

    def _rows(self, sql: str, *parameters: Any) -> list[Any]:
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def put(self, kind: str, arn: str, identifier: str, document: Document) -> None:
        """Store a document. Raises sqlite3.IntegrityError if another one of the kind has the identifier."""
        with self.transaction():
            self._rows(
                "insert into resource values (?, ?, ?, ?) "
                "on conflict (arn) do update set identifier = excluded.identifier, document = excluded.document",
                *(kind, arn, identifier, json.dumps(document)),
            )

    def update(self, arn: str, **changes: Any) -> Document:
        """Change members of a document; None removes one. Raises KeyError if there is no such document."""
        with self.transaction():
            document = {**self.get(arn), **changes}
            document = {name: value for name, value in document.items() if value is not None}
            self._rows("update resource set document = ? where arn = ?", json.dumps(document), arn)
            return document

    def get(self, arn: str) -> Document:
        """The document of an ARN. Raises KeyError if there is none."""
        rows = self._rows("select document from resource where arn = ?", arn)
        if not rows:
            raise KeyError(arn)
        document: Document = json.loads(rows[0][0])
        return document

    def all(self, kind: str) -> list[Document]:
        """All documents of a kind, oldest first."""
        return [
            json.loads(row[0])
            for row in self._rows("select document from resource where kind = ? order by rowid", kind)
        ]

    def delete(self, arn: str) -> None:
        """Remove a document and what belongs to it."""
        with self.transaction():
            self._rows("delete from resource where arn = ?", arn)
            self._rows("delete from table_statistics where task = ?", arn)
            self._rows("delete from stream where task = ?", arn)

    def statistics(self, task: str) -> list[Document]:
        """The table statistics of a task, by name."""
        rows = self._rows("select document from table_statistics where task = ? order by schema_name, table_name", task)
        return [json.loads(row[0]) for row in rows]

    def reset_statistics(self, task: str, documents: list[Document]) -> None:
        """Replace the table statistics of a task."""
        with self.transaction():
            self._rows("delete from table_statistics where task = ?", task)
            for document in documents:
                names = (task, document["SchemaName"], document["TableName"])
                self._rows("insert into table_statistics values (?, ?, ?, ?)", *names, json.dumps(document))

    def table(self, task: str, name: TableName) -> Document:
        """The statistics of one table. Raises KeyError if the task has no such table."""
        rows = self._rows(
            "select document from table_statistics where task = ? and schema_name = ? and table_name = ?",
            *(task, name.schema, name.table),
        )
        if not rows:
            raise KeyError(str(name))
        document: Document = json.loads(rows[0][0])
        return document

    def update_table(self, task: str, name: TableName, **changes: Any) -> None:
        """Change members of a table's statistics; None removes one."""
        with self.transaction():
            document = {**self.table(task, name), **changes, "LastUpdateTime": datetime.now(UTC).timestamp()}
            document = {key: value for key, value in document.items() if value is not None}
            self._rows(
                "update table_statistics set document = ? where task = ? and schema_name = ? and table_name = ?",
                *(json.dumps(document), task, name.schema, name.table),
            )

    def count_changes(self, task: str, name: TableName, counts: dict[str, int]) -> None:
        """Add to a table's Inserts, Updates and Deletes (and the Applied ones)."""
        with self.transaction():
            document = self.table(task, name)
            members = {key: document.get(key, 0) + count for key, count in counts.items()}
            applied = {f"Applied{key}": value for key, value in members.items()}
            self.update_table(task, name, **members, **applied)

    def stream(self, task: str) -> StreamState | None:
        """The stream of a task, None before its first start."""
        rows = self._rows("select document from stream where task = ?", task)
        return StreamState.from_json(json.loads(rows[0][0])) if rows else None

    def put_stream(self, task: str, state: StreamState) -> None:
        """Store how far a stream is."""
        with self.transaction():
            self._rows("insert or replace into stream values (?, ?)", task, json.dumps(state.to_json()))

    def add_event(self, kind: str, identifier: str, category: str, message: str) -> None:
        """Record an event of a `replication-task` or `replication-instance`."""
        at = datetime.now(UTC).timestamp()
        with self.transaction():
            self._rows(
                "insert into event (at, kind, identifier, category, message) values (?, ?, ?, ?, ?)",
                *(at, kind, identifier, category, message),
            )

    def events(self) -> list[Document]:
        """All events, oldest first."""
        rows = self._rows("select at, kind, identifier, category, message from event order by id")
        names = ("Date", "SourceType", "SourceIdentifier", "Category", "Message")
        return [dict(zip(names, row, strict=True)) for row in rows]
