"""What one run of the commit protocol over one table did, for materialisations, checks and messages."""

from __future__ import annotations

from dataclasses import dataclass, field

from dms_assets.model.load import Load
from dms_assets.model.load_closing import LoadStuck
from dms_assets.model.names import TableName
from dms_assets.validation.batch_check import BatchCheck
from dms_assets.validation.outcome import Group, Reason


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that went to quarantine in this run."""

    entry_id: str
    key: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Waiting:
    """Files that stay in landing for now, and why."""

    reason: str
    files: int


@dataclass(slots=True)
class TableOutcome:
    """`batch` and `snapshot_id` are None if nothing was committed. `held` are the ids of all quarantine entries of
    the table that nobody decided on or whose replay is not done, those of earlier runs too. `total_rows` are those of
    the whole table after the commit.

    `checks` has one outcome per rule group over all files judged in this run, rejected ones too; groups that no file
    was judged by are missing. `finished` counts files that had been committed before and were only cleared away.
    """

    table: TableName
    rows: int = 0
    files: int = 0
    batch: int | None = None
    batch_id: str | None = None
    snapshot_id: int | None = None
    data_files: int = 0
    total_rows: int | None = None
    ops: dict[str, int] = field(default_factory=dict)
    loads: tuple[Load, ...] = ()
    rejected: list[Rejected] = field(default_factory=list)
    superseded: int = 0
    finished: int = 0
    waiting: list[Waiting] = field(default_factory=list)
    stuck: LoadStuck | None = None
    held: tuple[str, ...] = ()
    checks: dict[Group, BatchCheck] = field(default_factory=dict)
    steps_back: int = 0
    attempts: int = 1

    @property
    def committed(self) -> bool:
        """Whether a batch was committed."""
        return self.snapshot_id is not None
