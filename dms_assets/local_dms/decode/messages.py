"""Messages of pgoutput (protocol version 1), many at a time: where transactions begin and end, and the changes.

PostgreSQL: "Logical Replication Message Formats". Everything is found with numpy over one slab of messages; only
relation messages, a handful, are read one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from dms_assets.local_dms.decode.cells import Bytes, DecodeError, Int64s, Slab, slab_of

_BEGIN, _COMMIT, _RELATION = ord("B"), ord("C"), ord("R")
_INSERT, _UPDATE, _DELETE = ord("I"), ord("U"), ord("D")
_MICROS_1970_TO_2000 = 946_684_800_000_000


@dataclass(frozen=True, slots=True)
class RelationColumn:
    """A column as the log describes it at that moment."""

    name: str
    type_oid: int
    typmod: int
    in_key: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as the log describes it at that moment; `identity` is pg_class.relreplident."""

    oid: int
    schema: str
    table: str
    identity: str
    columns: tuple[RelationColumn, ...]


def parse_relation(message: bytes) -> Relation:
    """One relation message."""
    oid, at = int.from_bytes(message[1:5], "big"), 5

    def text() -> str:
        nonlocal at
        end = message.index(0, at)
        value, at = message[at:end].decode(), end + 1
        return value

    schema, table = text(), text()
    identity, count = chr(message[at]), int.from_bytes(message[at + 1 : at + 3], "big")
    at += 3
    columns = []
    for _ in range(count):
        in_key, at = bool(message[at] & 1), at + 1
        name = text()
        type_oid = int.from_bytes(message[at : at + 4], "big")
        typmod = int.from_bytes(message[at + 4 : at + 8], "big", signed=True)
        at += 8
        columns.append(RelationColumn(name, type_oid, typmod, in_key))
    return Relation(oid, schema or "pg_catalog", table, identity, tuple(columns))


@dataclass(slots=True)
class Clock:
    """The hybrid clock behind the change sequence: it never goes back, and is a function of what was read.

    `tick` is in hundredths of a second since 1970 (the largest commit time so far), `counter` is the next number.
    """

    tick: int = 0
    counter: int = 1


@dataclass(frozen=True, slots=True)
class Changes:
    """Data messages of one relation, in the order of the log.

    `at` and `end` are where each lies in the slab, `kind` its letter. `commit_lsn` and `commit_micros` (since 1970)
    are its transaction's; `ordinal` counts changes in the transaction in steps of two, and so does `counter` in the
    stream, since an update of a key makes two rows. `tick` is the clock at the change.
    """

    relation: Relation
    slab: Slab
    at: Int64s
    end: Int64s
    kind: Bytes
    commit_lsn: Int64s
    commit_micros: Int64s
    ordinal: Int64s
    tick: Int64s
    counter: Int64s


@dataclass(frozen=True, slots=True)
class _Open:
    """A transaction whose end is not read yet."""

    lsn: int = 0
    micros: int = 0
    changes: int = 0
    inside: bool = False


@dataclass(frozen=True, slots=True)
class _Messages:
    slab: Slab
    starts: Int64s
    ends: Int64s
    kinds: Bytes


@dataclass(frozen=True, slots=True)
class _Rows:
    """Data messages of a slab: their index among the messages, and what their transaction gives them."""

    message: Int64s
    oid: Int64s
    lsn: Int64s
    micros: Int64s
    ordinal: Int64s
    tick: Int64s
    counter: Int64s


@dataclass(slots=True)
class MessageReader:
    """Follows a stream of messages through runs and slabs.

    `relations` and `clock` live as long as the stream. A run starts at a transaction boundary with `begin_run`;
    after it, `last_end` is the end of the last transaction that was read whole (0: none) and `last_micros` its commit
    time (since 1970), `messages` and `transactions` count what was read.
    """

    clock: Clock = field(default_factory=Clock)
    relations: dict[int, Relation] = field(default_factory=dict)
    last_end: int = 0
    last_micros: int = 0
    messages: int = 0
    transactions: int = 0
    durable: int = 0
    _open: _Open = _Open()

    def begin_run(self, durable: int) -> None:
        """Start at a transaction boundary; transactions that committed before `durable` (an LSN) are skipped."""
        self._open, self.durable = _Open(), durable
        self.last_end = self.last_micros = self.messages = self.transactions = 0

    def read(self, messages: pa.Array[Any]) -> Iterator[Changes]:
        """The changes in the next messages, by relation; a relation that changes its form starts a new one.

        The iterator must be read to its end. Raises DecodeError for bytes that are not pgoutput's.
        """
        self.messages += len(messages)
        slab, offsets = slab_of(messages)
        del messages  # The slab is a copy.
        found = _Messages(slab, offsets[:-1], offsets[1:], slab.u1[offsets[:-1]])
        rows = self._rows(found)
        first = 0
        for message, relation in self._redefined(found):
            last = int(np.searchsorted(rows.message, message))
            if last > first:
                yield from self._by_relation(found, rows, first, last)
            first = last
            if relation is not None:
                self.relations[relation.oid] = relation

    def _rows(self, found: _Messages) -> _Rows:
        slab, starts, kinds = found.slab, found.starts, found.kinds
        message = np.flatnonzero((kinds == _INSERT) | (kinds == _UPDATE) | (kinds == _DELETE))
        begins = np.flatnonzero(kinds == _BEGIN)
        lsns = np.concatenate([[self._open.lsn], slab.i8[starts[begins] + 1]]).astype(np.int64)
        micros = np.concatenate([[self._open.micros], slab.i8[starts[begins] + 9] + _MICROS_1970_TO_2000])
        transaction = np.searchsorted(begins, message, side="right")
        before = np.concatenate([[-self._open.changes], np.searchsorted(message, begins)])
        ordinal = np.arange(len(message)) - before[transaction]
        self._open = self._still_open(
            found, begins, _Open(int(lsns[-1]), int(micros[-1]), len(message) - int(before[-1]))
        )
        fresh = lsns[transaction] >= self.durable
        message, transaction, ordinal = message[fresh], transaction[fresh], ordinal[fresh]
        row_micros = micros[transaction].astype(np.int64)
        ticks = np.maximum(np.maximum.accumulate(row_micros // 10_000), self.clock.tick) if len(message) else row_micros
        counter = self.clock.counter + 2 * np.arange(len(message))
        if len(message):
            self.clock.tick, self.clock.counter = int(ticks[-1]), int(counter[-1]) + 2
        oid = slab.u4[starts[message] + 1].astype(np.int64)
        return _Rows(message, oid, lsns[transaction], row_micros, 2 * ordinal, ticks, counter)

    def _still_open(self, found: _Messages, begins: Int64s, last: _Open) -> _Open:
        commits = np.flatnonzero(found.kinds == _COMMIT)
        if len(commits):
            self.last_end = int(found.slab.i8[found.starts[commits[-1]] + 10])
            self.last_micros = int(found.slab.i8[found.starts[commits[-1]] + 18]) + _MICROS_1970_TO_2000
            self.transactions += len(commits)
        last_begin = int(begins[-1]) if len(begins) else -1
        last_commit = int(commits[-1]) if len(commits) else -1
        if last_begin > last_commit or (self._open.inside and last_commit < 0):
            return _Open(last.lsn, last.micros, last.changes, inside=True)
        return _Open()

    def _redefined(self, found: _Messages) -> Iterator[tuple[int, Relation | None]]:
        """Where relations change their form, and at the end of the messages None."""
        for message in np.flatnonzero(found.kinds == _RELATION):
            relation = parse_relation(found.slab.data[found.starts[message] : found.ends[message]].tobytes())
            known = self.relations.setdefault(relation.oid, relation)
            if known != relation:
                yield int(message), relation
        yield len(found.starts), None

    def _by_relation(self, found: _Messages, rows: _Rows, first: int, last: int) -> Iterator[Changes]:
        part = rows.oid[first:last]
        for oid in np.unique(part):
            if int(oid) not in self.relations:
                raise DecodeError(f"the log has changes of relation {oid} and does not describe it")
            chosen = np.flatnonzero(part == oid) + first
            message = rows.message[chosen]
            yield Changes(
                relation=self.relations[int(oid)],
                slab=found.slab,
                at=found.starts[message],
                end=found.ends[message],
                kind=found.kinds[message],
                commit_lsn=rows.lsn[chosen],
                commit_micros=rows.micros[chosen],
                ordinal=rows.ordinal[chosen],
                tick=rows.tick[chosen],
                counter=rows.counter[chosen],
            )
