"""Asset keys, groups and owners: the names that hold history, fixed in one place."""

from __future__ import annotations

import dagster as dg

from dms_assets.model.names import Layer, TableName, asset_path

EXPOSURE = "exposure"
"""Stands where a layer stands in the keys of what lies beyond the lake: dashboards and publications."""


def table_key(source: str, layer: Layer, name: TableName) -> dg.AssetKey:
    """`[source, layer, schema, table]`."""
    return dg.AssetKey(asset_path(source, layer, name))


def exposure_path(domain: str, name: str) -> tuple[str, ...]:
    """The path of the key of an exposure, what uses derived tables: `[domain, exposure, name]`."""
    return (domain, EXPOSURE, name)


def table_of(key: dg.AssetKey) -> TableName:
    """The table of a key that `table_key` made."""
    return TableName(key.path[2], key.path[3])


def group(source: str, layer: Layer) -> str:
    """The group of a source's layer: one box in the lineage."""
    return f"{source}_{layer.value}"
