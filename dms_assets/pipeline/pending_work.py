"""Which tables have work a run can do now, and whether it was asked for already. Pure: the sensor does the I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dms_assets.model.landed_file import LandedFile
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
    def fingerprint(self) -> str:
        """Changes when there is something new for a run to do."""
        text = json.dumps(
            [
                sorted([f.identity.key, f.identity.etag, f.identity.last_modified] for f in self.files),
                sorted(self.replays),
                self.load_due,
                self.metadata_version,
            ]
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Asked:
    """The last request for a table: for which fingerprint, when, and how often for this one."""

    fingerprint: str
    at: datetime
    attempt: int


def due(
    work: Sequence[TableWork], asked: Mapping[TableName, Asked], busy: Collection[TableName], now: datetime
) -> dict[TableName, Asked]:
    """The tables to request a run for, with what to remember of it.

    A table in a run that is queued or running is left alone. What was asked for and is still there unchanged is
    asked for again, with growing pauses: its run died, or could do nothing with it.
    """
    requests: dict[TableName, Asked] = {}
    for table in work:
        if table.name in busy or not table.actionable:
            continue
        last = asked.get(table.name)
        if last is None or last.fingerprint != table.fingerprint:
            requests[table.name] = Asked(table.fingerprint, now, 1)
        elif now - last.at >= min(FIRST_RETRY * 2 ** (last.attempt - 1), LAST_RETRY):
            requests[table.name] = Asked(table.fingerprint, now, last.attempt + 1)
    return requests
