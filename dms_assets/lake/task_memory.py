"""What the platform remembers of a DMS task between polls: its streams, and since when each table says what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from dms_assets.lake.object_store import ObjectMeta, ObjectNotFoundError, ObjectStore, PreconditionFailedError
from dms_assets.model.load import Stream
from dms_assets.model.load_closing import register_streams
from dms_assets.model.names import TableName
from dms_assets.model.task_state import TableState, TaskState

FORMAT = 1


class MemoryFormatError(ValueError):
    """A stored document is of another release's format."""


def _document(body: bytes, key: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(body)
    if data.get("format") != FORMAT:
        raise MemoryFormatError(f"{key} is of format {data.get('format')!r}; this release reads format {FORMAT}")
    return data


def _read(store: ObjectStore, key: str) -> tuple[dict[str, Any], ObjectMeta] | None:
    try:
        body, meta = store.get(key)
    except ObjectNotFoundError:
        return None
    return _document(body, key), meta


def _replace(store: ObjectStore, key: str, data: Mapping[str, Any], old: ObjectMeta | None) -> None:
    """Write a document over exactly the one that was read. Raises PreconditionFailedError if another came between."""
    body = json.dumps({"format": FORMAT, **data}, indent=1).encode()
    if old is None:
        store.put(key, body, if_absent=True)
    else:
        store.put(key, body, if_match=old.etag)


class StreamStore:
    """The streams of one source. An ordinal, once given, always means the same stream."""

    def __init__(self, store: ObjectStore, source: str) -> None:
        self._store = store
        self._key = f"streams/{source}.json"

    def streams(self) -> tuple[Stream, ...]:
        """All streams so far, by ordinal."""
        found = _read(self._store, self._key)
        return self._parse(found[0]) if found else ()

    @staticmethod
    def _parse(data: Mapping[str, Any]) -> tuple[Stream, ...]:
        return tuple(
            Stream(row["ordinal"], row["task_arn"], datetime.fromisoformat(row["fresh_start"]))
            for row in data["streams"]
        )

    def register(self, task: TaskState) -> tuple[Stream, ...]:
        """All streams, with the one the task is in, if it ever started; safe for several processes at once."""
        while True:
            found = _read(self._store, self._key)
            known = self._parse(found[0]) if found else ()
            if task.fresh_start is None:
                return known
            streams = register_streams(known, task.arn, task.fresh_start)
            if streams == known:
                return known
            rows = [{**asdict(stream), "fresh_start": stream.fresh_start.isoformat()} for stream in streams]
            try:
                _replace(self._store, self._key, {"streams": rows}, found[1] if found else None)
            except (PreconditionFailedError, ObjectNotFoundError):
                continue
            return streams


@dataclass(frozen=True, slots=True)
class Poll:
    """What DMS said of one table, and when it said so for the first time."""

    state: TableState
    since: datetime


def _poll_json(poll: Poll) -> dict[str, Any]:
    row = asdict(poll.state)
    times = {name: row[name].isoformat() if row[name] else None for name in ("load_started", "load_ended")}
    return {**row, **times, "name": str(poll.state.name), "since": poll.since.isoformat()}


def _poll(row: dict[str, Any]) -> Poll:
    fields = {name: value for name, value in row.items() if name != "since"}
    for name in ("load_started", "load_ended"):
        fields[name] = datetime.fromisoformat(fields[name]) if fields[name] else None
    return Poll(TableState(**{**fields, "name": TableName.parse(row["name"])}), datetime.fromisoformat(row["since"]))


class PollStore:
    """The last poll of a source's tables: a load counts as ended only when two polls say the same of it."""

    def __init__(self, store: ObjectStore, source: str) -> None:
        self._store = store
        self._key = f"polls/{source}.json"

    def last(self) -> dict[TableName, Poll]:
        """The last poll of every table; empty before the first."""
        found = _read(self._store, self._key)
        polls = [_poll(row) for row in found[0]["tables"]] if found else []
        return {poll.state.name: poll for poll in polls}

    def record(self, task: TaskState, now: datetime) -> dict[TableName, Poll]:
        """Store a poll, written only if a load's state changed; what is remembered after it.

        Two processes that poll at once may each write; the later one wins, and both are true.
        """
        before = self.last()
        after = {name: Poll(state, now) for name, state in task.tables.items()}
        for name, poll in before.items():
            if name in after and after[name].state.load_fingerprint == poll.state.load_fingerprint:
                after[name] = replace(after[name], since=poll.since)
        if {name: (p.state.load_fingerprint, p.since) for name, p in before.items()} != {
            name: (p.state.load_fingerprint, p.since) for name, p in after.items()
        }:
            rows = [_poll_json(poll) for poll in after.values()]
            self._store.put(self._key, json.dumps({"format": FORMAT, "tables": rows}, indent=1).encode())
        return after
