"""Which tables have work a run can do now, and whether it was asked for already. Pure: the sensor does the I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dms_assets.alerts.pace import doubled
from dms_assets.model.landed_file import FileKind, LandedFile
from dms_assets.model.load import Stream, load_id
from dms_assets.model.names import TableName
from dms_assets.model.task_state import TABLE_COMPLETED, TableState

FIRST_RETRY = timedelta(seconds=60)
LAST_RETRY = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class TableWork:
    """What is known of one table when a tick looks.

    `replays` are quarantined files an operator decided on; `committed` the ids of the loads in the table.
    """

    name: TableName
    files: Sequence[LandedFile]
    replays: Collection[str]
    state: TableState | None
    stream: Stream | None
    committed: Collection[str]
    metadata_version: str | None

    @property
    def load_due(self) -> str | None:
        """The id of a load that DMS says is complete and the table does not have, or None."""
        if self.state is None or self.stream is None or self.state.load_started is None:
            return None
        if self.state.state != TABLE_COMPLETED:
            return None
        name = load_id(self.stream.ordinal, self.state.load_started)
        return None if name in self.committed else name

    @property
    def actionable(self) -> bool:
        """Whether a run could commit, reject or clear anything: before its first load a table takes no changes."""
        if self.metadata_version is None:
            return False
        if self.replays or self.load_due:
            return True
        return bool(self.files) and bool(self.committed)

    @property
    def beside_files(self) -> str:
        """Changes when there is something new for a run to do that is no file."""
        return _digest([sorted(self.replays), self.load_due, self.metadata_version])

    @property
    def fingerprint(self) -> str:
        """Changes when there is anything new for a run to do."""
        files = sorted([f.identity.key, f.identity.etag, f.identity.last_modified] for f in self.files)
        return _digest([files, self.beside_files])

    @property
    def changes(self) -> list[str]:
        """The files with changes, in the order in which they are taken in. Load files wait for their load's end."""
        changes = [f.identity for f in self.files if f.parsed.kind is FileKind.CDC]
        return [f"{f.last_modified} {f.etag} {f.key}" for f in sorted(changes, key=lambda f: (f.last_modified, f.key))]


@dataclass(frozen=True, slots=True)
class Asked:
    """The last request for a table: for what, when, and how often without success.

    `changes` is how many files with changes there were, `newest` names the last of them.
    """

    fingerprint: str
    at: datetime
    attempt: int
    beside_files: str = ""
    newest: str = ""
    changes: int = 0

    def to_json(self) -> list[str | int]:
        """A JSON array; `from_json` reads it back."""
        return [self.fingerprint, self.at.isoformat(), self.attempt, self.beside_files, self.newest, self.changes]

    @classmethod
    def from_json(cls, row: Sequence[Any]) -> Asked:
        """The request that `to_json` wrote."""
        return cls(row[0], datetime.fromisoformat(row[1]), *row[2:])

    def same_work(self, table: TableWork) -> bool:
        """Whether a table still has all the work that was asked for, and nothing new but more files of changes.

        More files are no reason to hurry if none of those before was taken in: where changes never cease, a run that
        fails every time would be asked for with every file.
        """
        if self.fingerprint == table.fingerprint:
            return True
        changes = table.changes
        if self.beside_files != table.beside_files or self.newest not in changes:
            return False
        return changes.index(self.newest) + 1 >= self.changes


def pause(attempt: int) -> timedelta:
    """How long to wait after the attempt of this ordinal (from 1) before the next."""
    return doubled(FIRST_RETRY, attempt - 1, LAST_RETRY)


def due(
    work: Sequence[TableWork], asked: Mapping[TableName, Asked], busy: Collection[TableName], now: datetime
) -> dict[TableName, Asked]:
    """The tables to request a run for, with what to remember of it.

    A table in a run that is queued or running is left alone. What was asked for and is still there is asked for again,
    with growing pauses: its run died, or could do nothing with it.
    """
    requests: dict[TableName, Asked] = {}
    for table in work:
        if table.name in busy or not table.actionable:
            continue
        last = asked.get(table.name)
        if last is None or not last.same_work(table):
            requests[table.name] = _ask(table, now, 1)
        elif now - last.at >= pause(last.attempt):
            requests[table.name] = _ask(table, now, last.attempt + 1)
    return requests


def _ask(table: TableWork, now: datetime, attempt: int) -> Asked:
    changes = table.changes
    newest = changes[-1] if changes else ""
    return Asked(table.fingerprint, now, attempt, table.beside_files, newest, len(changes))


def _digest(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
