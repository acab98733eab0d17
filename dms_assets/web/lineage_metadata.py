"""Column lineage and columns of assets, from the metadata of their definitions and of their latest materialisations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.remote_asset_graph import RemoteAssetGraph

from dms_assets.web.lineage import AssetPath, Column, LineageGraph, Made

_LINEAGE = "dagster/column_lineage"
_SCHEMA = "dagster/column_schema"


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What is said of a column. `comment` is plain text."""

    name: str
    type: str
    comment: str


class AssetMetadata:
    """Metadata of the assets of a workspace, read once per request."""

    def __init__(self, graph: RemoteAssetGraph[Any], instance: dg.DagsterInstance) -> None:
        self._graph = graph
        self._instance = instance
        self._materialised: dict[dg.AssetKey, dg.EventLogEntry | None] = {}

    def has(self, asset: AssetPath) -> bool:
        """Whether the workspace has such an asset."""
        return self._graph.has(dg.AssetKey(asset))

    def lineage(self) -> LineageGraph:
        """The lineage between all assets."""
        return LineageGraph(self._made)

    def parents(self, asset: AssetPath) -> list[AssetPath]:
        """The assets it is made of."""
        return sorted(tuple(key.path) for key in self._graph.get(dg.AssetKey(asset)).parent_keys)

    def children(self, asset: AssetPath) -> list[AssetPath]:
        """The assets that are made of it."""
        return sorted(tuple(key.path) for key in self._graph.get(dg.AssetKey(asset)).child_keys)

    def columns(self, asset: AssetPath) -> list[ColumnFacts]:
        """The columns, as last materialised, else as defined; descriptions of the definition come first."""
        schemas = [value for value in self._values(asset, _SCHEMA) if isinstance(value, dg.TableSchema)]
        if not schemas:
            return []
        defined = {column.name.lower(): column.description for column in schemas[0].columns}
        return [
            ColumnFacts(column.name, column.type, _comment(defined.get(column.name.lower()) or column.description))
            for column in schemas[-1].columns
        ]

    def _made(self, asset: AssetPath) -> Made | None:
        for value in self._values(asset, _LINEAGE):
            if isinstance(value, dg.TableColumnLineage):
                return {
                    name: [Column(tuple(dep.asset_key.path), dep.column_name) for dep in deps]
                    for name, deps in value.deps_by_column.items()
                }
        return None

    def _values(self, asset: AssetPath, name: str) -> Iterator[object]:
        """An entry of the definition, then of the latest materialisation."""
        key = dg.AssetKey(asset)
        if not self._graph.has(key):
            return
        defined = self._graph.get(key).metadata
        if name in defined:
            yield getattr(defined[name], "value", defined[name])
        if key not in self._materialised:
            self._materialised[key] = self._instance.get_latest_materialization_event(key)
        event = self._materialised[key]
        made = event.asset_materialization if event else None
        if made is not None and name in made.metadata:
            yield made.metadata[name].value


def _comment(description: str | None) -> str:
    """The comment in a description in Markdown, without the links to other columns: the page has its own."""
    paragraphs = (description or "").split("\n\n")
    return " ".join(part for part in paragraphs if not part.startswith("*"))
