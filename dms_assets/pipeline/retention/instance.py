"""What is removed from the Dagster instance: old runs with their events and logs, and old events without a run.

Dagster has no retention but for ticks. Runs are deleted by its own method; for the rest there is none, so rows are
removed from the tables of its SQL storage, whose shape `tests/pipeline/test_retention_instance.py` pins. What Dagster
still decides by always stays: the latest materialisation, observation, planned and failed materialisation of each
asset, the latest evaluation of each check, and the runs these are of. A status, an automation condition or a hold is
the same before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import dagster as dg
import sqlalchemy as sa
from dagster._core.events import DagsterEventType
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from dms_assets.lake.leftovers import sweep_files
from dms_assets.lake.removed import Removed, total
from dms_assets.pipeline.retention.job import Kind
from dms_assets.pipeline.retention.settings import RetentionSettings

_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_EVENTS, _CHECKS = SqlEventLogStorageTable, AssetCheckExecutionsTable
_DECISIVE = [
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_FAILED_TO_MATERIALIZE,
    DagsterEventType.FRESHNESS_STATE_CHANGE,
]
_PAGE = 500
_Id = TypeVar("_Id", int, str)


class InstanceRetention:
    """Removes from one instance. Raises TypeError for an event log that is not kept in SQL."""

    def __init__(self, instance: dg.DagsterInstance, settings: RetentionSettings, now: datetime) -> None:
        storage = instance.event_log_storage
        if not isinstance(storage, SqlEventLogStorage):
            raise TypeError(f"the event log is kept by {type(storage).__name__}, whose events this cannot remove")
        self._instance = instance
        self._storage = storage
        self._settings = settings
        self._now = now

    def kinds(self) -> list[Kind]:
        """Each kind of things by itself; runs first, for results of checks outlive them."""
        return [
            ("runs", self.remove_runs),
            ("events without a run", self.remove_events),
            ("results of checks", self.remove_checks),
            ("logs of ticks", self.remove_tick_logs),
        ]

    def remove_runs(self) -> Removed:
        """Delete runs that ended long ago, or are more than are kept; those that an asset's state rests on stay."""
        needed = self._needed_runs()
        cutoff = self._now - timedelta(days=self._settings.run_days)
        old: list[str] = []
        removed = Removed()
        for position, record in enumerate(self._ended_runs()):
            run_id = record.dagster_run.run_id
            recent = record.create_timestamp > cutoff and position < self._settings.runs_kept
            if recent or run_id in needed:
                continue
            removed += Removed(1, sum(path.stat().st_size for path in self._files_of(run_id)))
            old.append(run_id)
        if not self._settings.dry_run:
            for run_id in old:
                self._delete(run_id)
            self._delete_checks_of(old)
        return removed

    def remove_events(self) -> Removed:
        """Delete old events that were reported without a run."""
        cutoff = self._now - timedelta(days=self._settings.event_days)
        old = sa.and_(_EVENTS.c.run_id == RUNLESS_RUN_ID, _EVENTS.c.timestamp < _naive(cutoff))
        latest = (
            sa.select(sa.func.max(_EVENTS.c.id))
            .where(_EVENTS.c.dagster_event_type.in_([kind.value for kind in _DECISIVE]))
            .group_by(_EVENTS.c.asset_key, _EVENTS.c.dagster_event_type)
        )
        judged = sa.select(_CHECKS.c.materialization_event_storage_id).where(
            _CHECKS.c.id.in_(_latest_checks()), _CHECKS.c.materialization_event_storage_id.is_not(None)
        )
        with self._storage.index_connection() as connection:
            found = sa.select(_EVENTS.c.id, sa.func.length(_EVENTS.c.event)).where(
                old, _EVENTS.c.id.not_in(latest), _EVENTS.c.id.not_in(judged)
            )
            rows = connection.execute(found).fetchall()
            if not self._settings.dry_run:
                for page in _pages([row[0] for row in rows]):
                    connection.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(page)))
                    connection.execute(_EVENTS.delete().where(_EVENTS.c.id.in_(page)))
        if isinstance(self._storage, SqliteEventLogStorage) and not self._settings.dry_run:
            # SQLite keeps a second copy of these by run, in a file that nothing reads by asset.
            with self._storage.run_connection(RUNLESS_RUN_ID) as connection:
                connection.execute(_EVENTS.delete().where(_EVENTS.c.timestamp < _naive(cutoff)))
        return Removed(len(rows), sum(row[1] or 0 for row in rows))

    def remove_checks(self) -> Removed:
        """Delete old results of checks; the latest of each check stays."""
        cutoff = self._now - timedelta(days=self._settings.event_days)
        with self._storage.index_connection() as connection:
            found = sa.select(_CHECKS.c.id, sa.func.length(_CHECKS.c.evaluation_event)).where(
                _CHECKS.c.create_timestamp < _naive(cutoff), _CHECKS.c.id.not_in(_latest_checks())
            )
            rows = connection.execute(found).fetchall()
            if not self._settings.dry_run:
                for page in _pages([row[0] for row in rows]):
                    connection.execute(_CHECKS.delete().where(_CHECKS.c.id.in_(page)))
        return Removed(len(rows), sum(row[1] or 0 for row in rows))

    def remove_tick_logs(self) -> Removed:
        """Delete what sensors and schedules logged in old ticks, and what automation thought in them."""
        cutoff = self._now - timedelta(days=self._settings.event_days)
        schedules = self._instance.schedule_storage
        if schedules and schedules.supports_auto_materialize_asset_evaluations and not self._settings.dry_run:
            schedules.purge_asset_evaluations(before=cutoff.timestamp())
        manager = self._instance.compute_log_manager
        if not isinstance(manager, LocalComputeLogManager):
            return Removed()
        return total(
            sweep_files(folder, cutoff, dry_run=self._settings.dry_run)
            for folder in Path(manager._base_dir).glob("*")  # noqa: SLF001 the manager has no name for it
            if folder.is_dir() and not self._instance.has_run(folder.name)
        )

    def _ended_runs(self) -> list[dg.RunRecord]:
        """Newest first; all are read before any is deleted, for a page begins at the last run of the one before."""
        found: list[dg.RunRecord] = []
        while True:
            cursor = found[-1].dagster_run.run_id if found else None
            page = self._instance.get_run_records(dg.RunsFilter(statuses=_ENDED), limit=_PAGE, cursor=cursor)
            if not page:
                return found
            found += page

    def _needed_runs(self) -> set[str]:
        """Runs whose events say what the state of an asset or a check is."""
        with self._storage.index_connection() as connection:
            latest = (
                sa.select(sa.func.max(_EVENTS.c.id))
                .where(_EVENTS.c.dagster_event_type.in_([kind.value for kind in _DECISIVE]))
                .group_by(_EVENTS.c.asset_key, _EVENTS.c.dagster_event_type)
            )
            events = connection.execute(sa.select(_EVENTS.c.run_id).where(_EVENTS.c.id.in_(latest))).fetchall()
            checks = connection.execute(
                sa.select(_CHECKS.c.run_id).where(_CHECKS.c.id.in_(_latest_checks()))
            ).fetchall()
        return {row[0] for row in (*events, *checks)}

    def _delete(self, run_id: str) -> None:
        if isinstance(self._storage, SqliteEventLogStorage):
            # As `delete_run` does it, but for the run's own database: that is not opened, and migrated, to be removed.
            self._instance.run_storage.delete_run(run_id)
            with self._storage.index_connection() as connection:
                self._storage.delete_events_for_run(connection, run_id)
            self._storage.free_concurrency_slots_for_run(run_id)
        else:
            self._instance.delete_run(run_id)
        self._instance.compute_log_manager.delete_logs(prefix=[run_id])
        for path in self._files_of(run_id):
            path.unlink(missing_ok=True)

    def _delete_checks_of(self, runs: Sequence[str]) -> None:
        """Dagster leaves the results of checks when it deletes their run."""
        with self._storage.index_connection() as connection:
            for page in _pages(runs):
                connection.execute(
                    _CHECKS.delete().where(_CHECKS.c.run_id.in_(page), _CHECKS.c.id.not_in(_latest_checks()))
                )

    def _files_of(self, run_id: str) -> list[Path]:
        """SQLite keeps a file a run, and leaves it behind, emptied."""
        if not isinstance(self._storage, SqliteEventLogStorage):
            return []
        path = Path(self._storage.path_for_shard(run_id))
        return [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm") if Path(f"{path}{suffix}").exists()]


def _latest_checks() -> sa.Select[tuple[int]]:
    return sa.select(sa.func.max(_CHECKS.c.id)).group_by(_CHECKS.c.asset_key, _CHECKS.c.check_name, _CHECKS.c.partition)


def _pages(ids: Sequence[_Id]) -> Iterator[Sequence[_Id]]:
    for start in range(0, len(ids), _PAGE):
        yield ids[start : start + _PAGE]


def _naive(instant: datetime) -> datetime:
    """Dagster stores UTC without saying so."""
    return instant.replace(tzinfo=None)
