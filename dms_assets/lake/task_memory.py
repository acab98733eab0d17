"""What the platform remembers of a DMS task between polls: its streams, and since when each table says what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from dms_assets.lake.object_store import ObjectStore
from dms_assets.lake.state_document import StateDocument
from dms_assets.model.load import Stream
from dms_assets.model.load_closing import register_streams
from dms_assets.model.names import TableName
from dms_assets.model.task_state import TableState, TaskState

FORMAT = 1


class StreamStore:
    """The streams of one source. An ordinal, once given, always means the same stream."""

    def __init__(self, store: ObjectStore, source: str) -> None:
        self._document = StateDocument(store, f"streams/{source}.json", format=FORMAT)

    def streams(self) -> tuple[Stream, ...]:
        """All streams so far, by ordinal."""
        return self._parse(self._document.read())

    @staticmethod
    def _parse(data: Mapping[str, Any] | None) -> tuple[Stream, ...]:
        rows = data["streams"] if data else []
        return tuple(
            Stream(row["ordinal"], row["task_arn"], datetime.fromisoformat(row["fresh_start"])) for row in rows
        )

    def register(self, task: TaskState) -> tuple[Stream, ...]:
        """All streams, with the one the task is in, if it ever started; safe for several processes at once."""
        known, begun = self.streams(), task.fresh_start
        if begun is None or register_streams(known, task.arn, begun) == known:
            return known

        def edit(data: dict[str, Any] | None) -> dict[str, Any]:
            streams = register_streams(self._parse(data), task.arn, begun)
            return {"streams": [{**asdict(s), "fresh_start": s.fresh_start.isoformat()} for s in streams]}

        return self._parse(self._document.change(edit))


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
        self._document = StateDocument(store, f"polls/{source}.json", format=FORMAT)

    def last(self) -> dict[TableName, Poll]:
        """The last poll of every table; empty before the first."""
        found = self._document.read()
        polls = [_poll(row) for row in found["tables"]] if found else []
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
            self._document.change(lambda _: {"tables": rows})
        return after
