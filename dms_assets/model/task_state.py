"""What DMS says of a task and its tables, in the platform's terms (DMS: DescribeReplicationTasks, -TableStatistics)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from dms_assets.model.names import TableName

TABLE_COMPLETED = "Table completed"
TABLE_ERROR = "Table error"


@dataclass(frozen=True, slots=True)
class TableState:
    """One table of a task. `state` is DMS's `TableState`; times are aware, None where DMS gives none."""

    name: TableName
    state: str
    load_started: datetime | None = None
    load_ended: datetime | None = None
    load_rows: int = 0
    reloaded: bool = False
    inserts: int = 0
    updates: int = 0
    deletes: int = 0

    @property
    def load_fingerprint(self) -> tuple[str, datetime | None, datetime | None, int]:
        """What must be the same in two polls before a load counts as ended."""
        return (self.state, self.load_started, self.load_ended, self.load_rows)


@dataclass(frozen=True, slots=True)
class TaskState:
    """A replication task. `fresh_start` changes on start and reload-target, never on resume."""

    arn: str
    identifier: str
    status: str
    fresh_start: datetime | None = None
    stop_reason: str | None = None
    failure: str | None = None
    tables: dict[TableName, TableState] = field(default_factory=dict)
