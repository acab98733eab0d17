"""What one run of the commit protocol over one table did, for materialisations, checks and messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dms_assets.model.load import Load
from dms_assets.model.load_closing import LoadStuck
from dms_assets.model.names import TableName
from dms_assets.validation.outcome import MAX_REPORTED_ROWS, CheckOutcome, FileVerdict, Group, Reason


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
    the table that nobody decided on or whose replay is not done, those of earlier runs too.

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
    ops: dict[str, int] = field(default_factory=dict)
    loads: tuple[Load, ...] = ()
    rejected: list[Rejected] = field(default_factory=list)
    superseded: int = 0
    finished: int = 0
    waiting: list[Waiting] = field(default_factory=list)
    stuck: LoadStuck | None = None
    held: tuple[str, ...] = ()
    checks: dict[Group, CheckOutcome] = field(default_factory=dict)
    steps_back: int = 0
    attempts: int = 1

    @property
    def committed(self) -> bool:
        """Whether a batch was committed."""
        return self.snapshot_id is not None


def merge_checks(verdicts: Iterable[tuple[str, FileVerdict]]) -> dict[Group, CheckOutcome]:
    """One outcome per group over files, given as (name, verdict). Ordinals stay in the reports of the files."""
    groups: dict[Group, list[tuple[str, CheckOutcome]]] = {}
    for name, verdict in verdicts:
        for outcome in verdict.outcomes:
            groups.setdefault(outcome.group, []).append((name, outcome))
    return {group: _merged(group, found) for group, found in groups.items()}


def _merged(group: Group, found: list[tuple[str, CheckOutcome]]) -> CheckOutcome:
    failed = [(name, outcome) for name, outcome in found if not outcome.passed]
    if not failed:
        return CheckOutcome(group, passed=True, expected=found[0][1].expected, found=f"{len(found)} files, none fails")
    hashes = [key for _, outcome in failed for key in outcome.key_hashes]
    told = "; ".join(f"{name}: {outcome.found}" for name, outcome in failed[:5])
    return CheckOutcome(
        group=group,
        passed=False,
        expected=failed[0][1].expected,
        found=f"{len(failed)} of {len(found)} files fail: {told}",
        failing=sum(outcome.failing for _, outcome in failed),
        key_hashes=tuple(hashes[:MAX_REPORTED_ROWS]),
    )
