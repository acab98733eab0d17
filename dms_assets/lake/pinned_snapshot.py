"""A validated table at one instant, for engines that read its files themselves."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from dms_assets.model.commit_plan import BATCH
from dms_assets.model.commit_properties import LOADS, parse_loads
from dms_assets.model.load import Load
from dms_assets.model.names import Layer, TableName, warehouse_schema
from dms_assets.model.stored_schema import COLUMNS_PROPERTY, columns_from_json, schema_of, stored_schema
from dms_assets.model.table_metadata import TableMetadata


@dataclass(frozen=True, slots=True)
class PinnedSnapshot:
    """Exactly what one snapshot of a validated table holds.

    `files` are paths for local warehouses, `s3://` URIs else, sorted; they stay readable when newer snapshots come.
    `schema` has the types of the files; files older than a column lack it. `snapshot_id` is None and `batch` 0 while
    nothing was committed. `loads` are all complete loads, those without rows too.
    """

    identifier: tuple[str, str]
    snapshot_id: int | None
    files: tuple[str, ...]
    loads: tuple[Load, ...]
    batch: int
    schema: pa.Schema


def validated_identifier(source: str, name: TableName) -> tuple[str, str]:
    """Namespace and table of a validated table in the catalog."""
    return (warehouse_schema(source, name.schema, Layer.VALIDATED), name.table)


def pinned_snapshot(catalog: Catalog, identifier: tuple[str, str]) -> PinnedSnapshot | None:
    """The table at its current snapshot, or None if there is no such table yet."""
    try:
        table = catalog.load_table(identifier)
    except NoSuchTableError:
        return None
    properties = table.properties
    snapshot = table.current_snapshot()
    files = (
        [task.file.file_path for task in table.scan(snapshot_id=snapshot.snapshot_id).plan_files()] if snapshot else []
    )
    return PinnedSnapshot(
        identifier=identifier,
        snapshot_id=snapshot.snapshot_id if snapshot else None,
        files=tuple(sorted(_readable(file) for file in files)),
        loads=parse_loads(properties[LOADS]) if LOADS in properties else (),
        batch=int(properties.get(BATCH, "0")),
        schema=schema_of(columns_from_json(properties[COLUMNS_PROPERTY])),
    )


def empty_snapshot(identifier: tuple[str, str], metadata: TableMetadata) -> PinnedSnapshot:
    """What a table that nothing was ever committed to looks like."""
    return PinnedSnapshot(identifier, None, (), (), 0, stored_schema(metadata))


def _readable(uri: str) -> str:
    return uri.removeprefix("file://")
