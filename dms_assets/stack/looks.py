"""What a stack has not reached yet, each as a look: None when it is reached, else what is missing, in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dms_assets.dms.task_reader import find_task, read_task, task_identifier
from dms_assets.installation import Installation
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.task_state import TABLE_COMPLETED, TaskState
from dms_assets.model.watermark import LogReading
from dms_assets.pipeline.dbt.catalogue import dbt_target, read_catalogue
from dms_assets.pipeline.reconciliation.watermark import read_log
from dms_assets.pipeline.status.progress import TableProgress, read_progress

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient


class TaskEndedError(RuntimeError):
    """Nothing more will come: the task of a source does not run."""

    def __init__(self, source: str, task: TaskState) -> None:
        reason = task.failure or task.stop_reason or "no reason given"
        super().__init__(
            f"task '{task.identifier}' is {task.status} ({reason}); start it with `dms-assets task start {source}`"
        )


@dataclass(frozen=True, slots=True)
class Looks:
    """The looks at one source."""

    installation: Installation
    client: DatabaseMigrationServiceClient
    spec: SourceSpec

    def progress(self) -> list[TableProgress]:
        """How far each table is."""
        return read_progress(self.installation, self.spec)

    def no_metadata(self) -> str | None:
        """Until the metadata of all tables is known."""
        tables = len(self.spec.tables)
        missing = tables - len(self.installation.known_metadata(self.spec))
        return f"{missing} of {tables} tables without metadata" if missing else None

    def not_loaded(self) -> str | None:
        """Until the first load of all tables is done."""
        if find_task(self.client, task_identifier(self.spec.name)) is None:
            return "no task yet"
        task = self._running_task()
        loaded = sum(table.state == TABLE_COMPLETED for table in task.tables.values())
        tables = len(self.spec.tables)
        return f"task {task.status}, {loaded} of {tables} tables loaded" if loaded < tables else None

    def not_derived(self) -> str | None:
        """Until the derived tables show every change of the curated tables they read, but for tables that are held."""
        from dms_assets.pipeline.dbt.derived_sensor import lagging, read_published  # noqa: PLC0415 heavy: needs dagster

        held = {(self.spec.name, table.name) for table in self.progress() if table.held}
        covered = read_published(self.installation)
        models = read_catalogue(dbt_target(self.installation.environment)).models
        waiting = [
            model
            for model in models
            if not model.curated and not model.tables & held and lagging(model.tables, covered) is not None
        ]
        return f"{len(waiting)} derived tables wait for the last changes" if waiting else None

    def log_end(self) -> int:
        """Where the source's log ends now: every commit that anybody has seen lies before it."""
        return self._log().note.position

    def not_captured(self, position: int) -> str | None:
        """Until every change before a position of the source's log is in landing."""
        return f"capturing up to position {position:,}" if self._log().confirmed < position else None

    def not_curated(self) -> str | None:
        """Until every table was curated once."""
        done = sum(item.curated_batch > 0 for item in self.progress())
        return f"{done} of {len(self.spec.tables)} tables curated" if done < len(self.spec.tables) else None

    def not_settled(self) -> str | None:
        """Until nothing waits in landing and every batch is curated, but for tables that are held."""
        waiting = [item for item in self.progress() if not item.settled]
        files = sum(item.files for item in waiting)
        return f"{len(waiting)} tables, {files} files to go" if waiting else None

    def _log(self) -> LogReading:
        task = self._running_task()
        with self.installation.source_connection(self.spec) as connection:
            return read_log(connection, task.arn, self.spec.dms.slot_name)

    def _running_task(self) -> TaskState:
        task = read_task(self.client, task_identifier(self.spec.name))
        if task.status in {"stopped", "failed"}:
            raise TaskEndedError(self.spec.name, task)
        return task
