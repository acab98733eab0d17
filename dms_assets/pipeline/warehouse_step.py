"""What surrounds dbt in a run: which tables are behind the models, which are held, binding snapshots, publishing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from dms_assets.curation.publish import publish
from dms_assets.curation.source_views import applied_batch, create_source_views
from dms_assets.curation.warehouse import open_published, open_warehouse
from dms_assets.installation import Installation
from dms_assets.lake.pinned_snapshot import PinnedSnapshot, empty_snapshot, pinned_snapshot, validated_identifier
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.hold import held, judge, read_summaries

SourceTable = tuple[str, TableName]
"""A table with the name of its source."""


def _asset_path(node: Mapping[str, Any]) -> list[str]:
    path: list[str] = node.get("config", {}).get("meta", {}).get("dagster", {}).get("asset_key", [])
    return path


def tables_behind(manifest: Mapping[str, Any], models: Iterable[str]) -> set[SourceTable]:
    """The validated tables that some models (unique ids) are built on, directly or through other models."""
    parents: Mapping[str, list[str]] = manifest["parent_map"]
    seen: set[str] = set()
    waiting = list(models)
    tables: set[SourceTable] = set()
    while waiting:
        unique_id = waiting.pop()
        if unique_id in seen:
            continue
        seen.add(unique_id)
        if unique_id.startswith("source."):
            path = _asset_path(manifest["sources"][unique_id])
            if len(path) == 4 and path[1] == Layer.VALIDATED:
                tables.add((path[0], TableName(path[2], path[3])))
        else:
            waiting.extend(parents.get(unique_id, []))
    return tables


def is_curated(node: Mapping[str, Any]) -> bool:
    """Whether a model is a curated relation of one source table, rather than one derived from several."""
    path = _asset_path(node)
    return len(path) > 1 and path[1] == Layer.CURATED


class WarehouseStep:
    """One run's work on the warehouse file."""

    def __init__(self, installation: Installation, sources: Sequence[SourceSpec]) -> None:
        self._installation = installation
        self._sources = {spec.name: spec for spec in sources}

    def held(self, tables: Collection[SourceTable]) -> set[SourceTable]:
        """Those of some tables whose curated relations must not move."""
        found: set[SourceTable] = set()
        for source in {source for source, _ in tables}:
            spec = self._sources[source]
            summaries = read_summaries(self._installation, spec, [name for owner, name in tables if owner == source])
            found |= {(source, name) for name in held(judge(self._installation, spec, summaries))}
        return found

    def pin(self, tables: Collection[SourceTable]) -> dict[SourceTable, PinnedSnapshot | None]:
        """Each table's current snapshot, None where nothing was committed."""
        catalog = self._installation.catalog
        return {(source, name): pinned_snapshot(catalog, validated_identifier(source, name)) for source, name in tables}

    def bind(self, tables: Mapping[SourceTable, PinnedSnapshot | None], at: datetime) -> set[SourceTable]:
        """Make the source views of each table show exactly its pinned snapshot.

        Returns the tables whose versions have seen more than the table now holds (it was made anew): they need a
        full refresh. Raises LookupError for a table without metadata.
        """
        refresh: set[SourceTable] = set()
        with open_warehouse(self._installation.environment.warehouse_file) as connection:
            for (source, name), found in sorted(tables.items(), key=lambda item: str(item[0])):
                version = self._installation.versions(source).current(name)
                if version is None:
                    raise LookupError(
                        f"source '{source}' has no metadata of {name}; materialise the table's metadata asset first"
                    )
                pinned = found or empty_snapshot(validated_identifier(source, name), version.metadata)
                create_source_views(connection, source, version.metadata, pinned, at=at)
                if (applied_batch(connection, source, name) or 0) > pinned.batch:
                    refresh.add((source, name))
        return refresh

    def publish(self) -> None:
        """Swap the read copy for the warehouse as it is now."""
        environment = self._installation.environment
        publish(environment.warehouse_file, environment.published_file)

    def count(self, relations: Iterable[str]) -> dict[str, int]:
        """Row counts of some relations of the read copy, by relation name."""
        with open_published(self._installation.environment.published_file) as connection:
            return {
                relation: connection.execute(f"select count(*) from {relation}").fetchall()[0][0]
                for relation in sorted(relations)
            }
