"""Drive sources until nothing is pending: what was committed before is captured, validated, curated and derived."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dms_assets.installation import Installation
from dms_assets.lake.ledger import Event, Ledger
from dms_assets.model.names import TableName
from dms_assets.pipeline.status.progress import TableProgress
from dms_assets.stack.looks import Looks
from dms_assets.stack.progress_log import ProgressLog, StageTimeoutError


@dataclass(frozen=True, slots=True)
class TableSync:
    """What happened to one table; `batch` is its last one, `held` why it may be behind nevertheless."""

    source: str
    table: str
    files: int
    batches: int
    batch: int
    held: bool


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a sync did, and whether it got there. `reason` says what is missing if it did not."""

    settled: bool
    seconds: float
    reason: str | None
    tables: tuple[TableSync, ...]

    @property
    def held(self) -> list[TableSync]:
        """Tables whose curated relations stay as they are until somebody decides."""
        return [table for table in self.tables if table.held]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "settled": self.settled,
            "seconds": round(self.seconds, 1),
            "reason": self.reason,
            "files": sum(table.files for table in self.tables),
            "batches": sum(table.batches for table in self.tables),
            "held": [f"{table.source}: {table.table}" for table in self.held],
            "tables": [asdict(table) for table in self.tables],
        }


def sync(
    sources: Sequence[Looks], log: ProgressLog, timeout_s: float, *, check: Callable[[], None] = lambda: None
) -> SyncResult:
    """Wait until the sources have settled, or the time is over. `check` is called while waiting.

    Raises TaskEndedError if the task of a source does not run.
    """
    began = time.monotonic()
    before = {source.spec.name: _batches(source.progress()) for source in sources}
    reason: str | None = None
    try:
        for source in sources:
            _settle(source, log, lambda: max(0.0, began + timeout_s - time.monotonic()), check)
    except StageTimeoutError as error:
        reason = f"not settled {error}"
    tables = [table for source in sources for table in _taken(source, before[source.spec.name])]
    return SyncResult(reason is None, time.monotonic() - began, reason, tuple(tables))


def _settle(source: Looks, log: ProgressLog, left: Callable[[], float], check: Callable[[], None]) -> None:
    name = source.spec.name
    with log.stage(f"{name}: metadata, task and first load"):
        log.wait_until(source.no_metadata, left(), check=check)
        log.wait_until(source.not_loaded, left(), check=check)
    with log.stage(f"{name}: every commit until now is captured"):
        end = source.log_end()
        log.wait_until(lambda: source.not_captured(end), left(), check=check)
    with log.stage(f"{name}: files are taken in, tables are built"):
        log.wait_until(source.not_settled, left(), check=check)
        log.wait_until(source.not_derived, left(), check=check)


def _batches(progress: Sequence[TableProgress]) -> dict[TableName, int]:
    return {table.name: table.batch for table in progress}


def _taken(source: Looks, before: Mapping[TableName, int]) -> list[TableSync]:
    return [
        TableSync(
            source=source.spec.name,
            table=str(table.name),
            files=_files(source.installation, source.spec.name, table, before[table.name]),
            batches=table.batch - before[table.name],
            batch=table.batch,
            held=table.held,
        )
        for table in source.progress()
    ]


def _files(installation: Installation, source: str, table: TableProgress, before: int) -> int:
    """The files accepted in the batches after `before`, by the ledger."""
    if table.batch == before:
        return 0
    rows = Ledger(installation.ledger, source).rows(table.name)
    return sum(row.event == Event.ACCEPTED and (row.batch or 0) > before for row in rows)
