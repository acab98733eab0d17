"""What surrounds dbt in a run: which tables are held, how far they are complete, binding snapshots, publishing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import duckdb

from dms_assets.curation.covered_instants import (
    Covered,
    complete_to,
    confirm_covered,
    open_covered,
    read_covered,
    record_covered,
)
from dms_assets.curation.latest_build import begin_build, check_latest
from dms_assets.curation.publish import publish
from dms_assets.curation.source_views import applied_batch, create_source_views, last_commit
from dms_assets.curation.warehouse import open_published, open_warehouse
from dms_assets.installation import Installation
from dms_assets.lake.pinned_snapshot import PinnedSnapshot, empty_snapshot, pinned_snapshot, validated_identifier
from dms_assets.model.names import SourceTable
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.checks.hold import held, judge, read_summaries
from dms_assets.pipeline.reconciliation.watermark import covered_instant


class WarehouseStep:
    """One run's work on the warehouse file, which is the latest build of it from here on.

    Binding, confirming and publishing raise BuildOvertakenError if another one has begun since. Raises
    WarehouseBusyError, here and there, if another process has the file open, and DocumentFormatError if a newer release
    built it.
    """

    def __init__(self, installation: Installation, sources: Sequence[SourceSpec]) -> None:
        self._installation = installation
        self._sources = {spec.name: spec for spec in sources}
        with open_warehouse(installation.environment.warehouse_file) as connection:
            self._build = begin_build(connection)

    @contextmanager
    def _warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with open_warehouse(self._installation.environment.warehouse_file) as connection:
            check_latest(connection, self._build)
            yield connection

    def held(self, tables: Collection[SourceTable]) -> set[SourceTable]:
        """Those of some tables whose curated relations must not move."""
        found: set[SourceTable] = set()
        for source in {source for source, _ in tables}:
            spec = self._sources[source]
            summaries = read_summaries(self._installation, spec, [name for owner, name in tables if owner == source])
            found |= {(source, name) for name in held(judge(self._installation, spec, summaries))}
        return found

    def watermarks(self, tables: Collection[SourceTable]) -> dict[SourceTable, datetime | None]:
        """The instant up to which each table, as committed now, holds every change. To be asked before pinning."""
        return {
            (source, name): covered_instant(self._installation, self._sources[source], [name])
            for source, name in tables
        }

    def pin(self, tables: Collection[SourceTable]) -> dict[SourceTable, PinnedSnapshot | None]:
        """Each table's current snapshot, None where nothing was committed."""
        catalog = self._installation.catalog
        return {(source, name): pinned_snapshot(catalog, validated_identifier(source, name)) for source, name in tables}

    def bind(
        self,
        tables: Mapping[SourceTable, PinnedSnapshot | None],
        at: datetime,
        watermarks: Mapping[SourceTable, datetime | None],
        building: Collection[SourceTable],
    ) -> set[SourceTable]:
        """Make the source views of each table show exactly its pinned snapshot, and record how far it is complete.

        `building` are the tables whose versions this run builds: of the others, what was pinned counts only as far
        as an earlier run has applied it. Returns the tables whose versions have seen more than the table now holds
        (it was made anew): they need a full refresh. Raises LookupError for a table without metadata.
        """
        refresh: set[SourceTable] = set()
        with self._warehouse() as connection:
            before = open_covered(connection)
            for table, found in sorted(tables.items(), key=lambda item: str(item[0])):
                pinned = self._bind(connection, table, found, at)
                applied = applied_batch(connection, *table) or 0
                anew = applied > pinned.batch
                if anew:
                    refresh.add(table)
                known = before.get(table)
                # A batch without rows leaves no trace in the versions: what was recorded then tells.
                if table not in building and pinned.batch not in {applied, known.batch if known else None}:
                    continue
                instant = complete_to(
                    watermarks[table], known.complete_to if known and not anew else None, pinned.loads
                )
                covered = Covered(instant, last_commit(connection, *table), pinned.batch) if instant else None
                record_covered(connection, table, covered, known, confirmed=table not in building)
        return refresh

    def _bind(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: SourceTable,
        found: PinnedSnapshot | None,
        at: datetime,
    ) -> PinnedSnapshot:
        source, name = table
        version = self._installation.versions(source).current(name)
        if version is None:
            raise LookupError(
                f"source '{source}' has no metadata of {name}; materialise the table's metadata asset first"
            )
        pinned = found or empty_snapshot(validated_identifier(source, name), version.metadata)
        create_source_views(connection, source, version.metadata, pinned, at=at)
        return pinned

    def check_latest(self) -> None:
        """Raises BuildOvertakenError if another build has begun since."""
        with self._warehouse():
            pass

    def confirm(self, built: Collection[SourceTable]) -> None:
        """The versions of these tables were built; how far others were said to be complete is taken back."""
        with self._warehouse() as connection:
            confirm_covered(connection, built)

    def publish(self) -> None:
        """Swap the read copy for the warehouse as it is now."""
        environment = self._installation.environment
        publish(environment.warehouse_file, environment.published_file, self._build)

    def count(self, relations: Iterable[str]) -> dict[str, int]:
        """Row counts of some relations of the read copy, by relation name."""
        with open_published(self._installation.environment.published_file) as connection:
            return {
                relation: connection.execute(f"select count(*) from {relation}").fetchall()[0][0]
                for relation in sorted(relations)
            }

    def covered(self) -> dict[SourceTable, Covered]:
        """How far each table is complete in the read copy."""
        with open_published(self._installation.environment.published_file) as connection:
            return read_covered(connection)
