"""Asset keys, groups and owners: the names that hold history, fixed in one place."""

from __future__ import annotations

import dagster as dg

from dms_assets.model.names import Layer, TableName, asset_path


def table_key(source: str, layer: Layer, name: TableName) -> dg.AssetKey:
    """`[source, layer, schema, table]`."""
    return dg.AssetKey(asset_path(source, layer, name))


def table_of(key: dg.AssetKey) -> TableName:
    """The table of a key that `table_key` made."""
    return TableName(key.path[2], key.path[3])


def group(source: str, layer: Layer) -> str:
    """The group of a source's layer: one box in the lineage."""
    return f"{source}_{layer.value}"
