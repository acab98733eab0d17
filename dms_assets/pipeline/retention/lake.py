"""What is removed from the lake of one installation: each kind by itself, so that one that fails stops no other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta

from dms_assets.curation.pinned_files import pinned_files
from dms_assets.installation import Installation
from dms_assets.lake.aging import age_archive, age_quarantine
from dms_assets.lake.compaction import compact
from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.ledger import Ledger
from dms_assets.lake.leftovers import sweep_files, sweep_folders, sweep_store
from dms_assets.lake.orphans import sweep_orphans
from dms_assets.lake.pinned_snapshot import validated_identifier
from dms_assets.lake.quarantine import Quarantine
from dms_assets.lake.removed import Removed, total
from dms_assets.lake.table_summary import read_summary
from dms_assets.lake.validated_table import batch_id_of, expire_snapshots
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.retention.job import Kind
from dms_assets.pipeline.retention.settings import RetentionSettings

_LOG = logging.getLogger(__name__)


class SomeTablesKeptError(RuntimeError):
    """Of some tables something could not be removed; of all others it was."""


class LakeRetention:
    """The kinds of things that are removed from the lake, in the order in which they must be.

    Snapshots first, then the files that only they named, then compaction: what it replaces stays until the next time,
    for somebody may be reading it.
    """

    def __init__(
        self, installation: Installation, sources: Sequence[SourceSpec], settings: RetentionSettings, now: datetime
    ) -> None:
        self._installation = installation
        self._sources = sources
        self._settings = settings
        self._now = now

    def kinds(self) -> Iterator[Kind]:
        """Each kind; what it removes may raise anything that a store or a catalog raises."""
        yield "Iceberg snapshots forgotten", self._each_table(self._expire)
        yield "files of tables that nothing refers to", self._sweep_orphans
        yield "small data files rewritten", self._each_table(self._compact)
        yield "objects of the ledger gathered", self._each_table(self._gather)
        yield "announcements of batches that were never committed", self._each_table(self._forget_announcements)
        yield "originals in the archive", self._age_archive
        yield "settled entries of quarantine", self._age_quarantine
        yield "leftovers of processes that died", self._sweep_leftovers

    def _each_table(self, remove: Callable[[SourceSpec, TableName], Removed]) -> Callable[[], Removed]:
        def remove_all() -> Removed:
            removed, failures = Removed(), list[str]()
            for spec in self._sources:
                for name in spec.table_names:
                    try:
                        removed += remove(spec, name)
                    except Exception as error:  # noqa: BLE001 whatever it is, other tables go on, and it is told
                        _LOG.exception("source %s, table %s: not removed", spec.name, name)
                        failures.append(f"{spec.name}: {name}: {type(error).__name__}: {error}")
            if failures:
                raise SomeTablesKeptError(f"{removed.count} of other tables removed; {'; '.join(failures)}")
            return removed

        return remove_all

    def _before(self, **age: float) -> datetime:
        return self._now - timedelta(**age)

    def _expire(self, spec: SourceSpec, name: TableName) -> Removed:
        identifier = validated_identifier(spec.name, name)
        if not self._installation.catalog.table_exists(identifier):
            return Removed()
        table = self._installation.catalog.load_table(identifier)
        before = self._before(days=self._settings.snapshot_days)
        return Removed(expire_snapshots(table, before=before, dry_run=self._settings.dry_run))

    def _sweep_orphans(self) -> Removed:
        pinned = pinned_files(self._installation.environment.warehouse_file)
        return self._each_table(lambda spec, name: self._sweep_table(spec, name, pinned))()

    def _sweep_table(self, spec: SourceSpec, name: TableName, pinned: Collection[str]) -> Removed:
        return sweep_orphans(
            self._installation.catalog,
            validated_identifier(spec.name, name),
            self._before(hours=self._settings.orphan_hours),
            pinned=pinned,
            dry_run=self._settings.dry_run,
        )

    def _compact(self, spec: SourceSpec, name: TableName) -> Removed:
        return compact(
            self._installation.catalog,
            validated_identifier(spec.name, name),
            self._installation.lake.scratch / "compaction",
            at_least=self._settings.compact_from,
            dry_run=self._settings.dry_run,
        )

    def _gather(self, spec: SourceSpec, name: TableName) -> Removed:
        newest = read_summary(self._installation.catalog, validated_identifier(spec.name, name)).batch
        return Ledger(self._installation.ledger, spec.name).gather(name, newest, dry_run=self._settings.dry_run)

    def _forget_announcements(self, spec: SourceSpec, name: TableName) -> Removed:
        identifier = validated_identifier(spec.name, name)
        if not self._installation.catalog.table_exists(identifier):
            return Removed()
        batch = read_summary(self._installation.catalog, identifier).batch
        return Ledger(self._installation.ledger, spec.name).forget_announcements(
            name,
            batch,
            batch_id_of(self._installation.catalog.load_table(identifier)),
            self._before(hours=self._settings.orphan_hours),
            dry_run=self._settings.dry_run,
        )

    def _age_archive(self) -> Removed:
        before = self._before(days=self._settings.archive_days)
        archive, dry_run = self._installation.archive, self._settings.dry_run
        if not isinstance(archive, FolderStore):
            return Removed()  # the bucket has a lifecycle rule
        return total(age_archive(archive, spec.name, before, dry_run=dry_run) for spec in self._sources)

    def _age_quarantine(self) -> Removed:
        before = self._before(days=self._settings.quarantine_days)
        store, dry_run = self._installation.quarantine, self._settings.dry_run
        return total(age_quarantine(Quarantine(store, spec.name), before, dry_run=dry_run) for spec in self._sources)

    def _sweep_leftovers(self) -> Removed:
        before, dry_run = self._before(hours=self._settings.leftover_hours), self._settings.dry_run
        installation, environment = self._installation, self._installation.environment
        stores = (installation.landing, installation.archive, installation.quarantine, installation.ledger)
        folders = [store for store in (*stores, installation.state) if isinstance(store, FolderStore)]
        removed = total(sweep_store(store, before, dry_run=dry_run) for store in folders)
        removed += sweep_folders(installation.lake.scratch / "intake", before, dry_run=dry_run)
        for folder in ("load-rows", "compaction"):
            removed += sweep_files(installation.lake.scratch / folder, before, dry_run=dry_run)
        published = environment.published_file.parent
        removed += sweep_folders(published, before, prefix=".publishing-", dry_run=dry_run)
        return removed + sweep_folders(environment.dbt_target_dir, before, prefix="compiling-", dry_run=dry_run)
