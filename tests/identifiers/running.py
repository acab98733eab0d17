"""Declared schemas through the lake and dbt: their rows must come out under the columns they went in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dms_assets.curation.dbt_run import DbtFailedError, DbtTarget, build
from dms_assets.curation.generate import generate_models
from dms_assets.curation.source_views import create_source_views
from dms_assets.lake.pinned_snapshot import validated_identifier
from dms_assets.model.landed_file import cdc_file_name
from dms_assets.model.names import Layer, quote, warehouse_schema
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.validation.worker_process import ValidationWorker
from tests.curation.rendered import project_copy
from tests.identifiers import names
from tests.identifiers.declaring import Declared, WrongError
from tests.lake.world import World, cdc_table, folder_world, load_table

_PLATFORM = ("platform", "pinned_snapshots")
_VERSIONS = (
    *("_op", "_stream", "_seq", "_commit_at", "_position", "_load_id", "_file", "_file_row", "_change_id", "_batch"),
    *("_metadata_version", "_follows_load", "_last_batch"),
)
_HISTORY = ("valid_from", "valid_to", "is_current", "_change_id", "_batch")


def run_through(folder: Path, worker: ValidationWorker, declared: Sequence[Declared]) -> int:
    """Files, validation, commit, views, models, dbt: how many tables came out as they are. Raises WrongError."""
    folder.mkdir(parents=True)
    canary = folder / "canary"
    canary.write_text(names.CANARY, encoding="utf-8")
    world = folder_world(folder / "home", worker)
    project = project_copy(folder)
    target = DbtTarget(project, folder / "target", folder / "warehouse.duckdb")
    with duckdb.connect(str(target.warehouse)) as connection:
        connection.execute("create table canary as select 'alive' as state")
    for one in declared:
        generate_models(one.spec, one.tables, project / "models" / "curated" / one.spec.name)
        with duckdb.connect(str(target.warehouse)) as connection:
            for table in one.tables:
                _bring(replace(world, spec=one.spec, metadata=table), one.rows[table.name.table], connection)
    try:
        result = build(target, ["*"])
    except DbtFailedError as error:
        raise WrongError(str(error)) from error
    if result.failed:
        raise WrongError("; ".join(f"{node.unique_id}: {node.message}" for node in result.failed))
    _expect_descriptions(target, declared)
    with duckdb.connect(str(target.warehouse)) as connection:
        _expect_relations(connection, declared)
        for one in declared:
            for table in one.tables:
                _expect_rows(connection, one.spec.name, table, one.rows[table.name.table])
    _expect_folders(world, declared)
    if canary.read_text(encoding="utf-8") != names.CANARY:
        raise WrongError("the canary's file was written to")
    return sum(len(one.tables) for one in declared)


def _bring(world: World, rows: Sequence[tuple[str, ...]], connection: duckdb.DuckDBPyConnection) -> None:
    """All rows but the last as a load, the last as a change; then what dbt reads."""
    *loaded, last = rows
    world.land_load(load_table(_data(world.metadata, loaded)))
    world.loaded(len(loaded))
    world.land(cdc_file_name(datetime.now(UTC)), cdc_table(_data(world.metadata, [last])))
    outcome = world.ingest()
    pinned = world.pinned()
    if outcome.rejected or len(pinned.loads) != 1 or not pinned.files:
        raise WrongError(f"{world.metadata.name}: {outcome.rejected}")
    create_source_views(connection, world.spec.name, world.metadata, pinned, at=datetime.now(UTC))


def _data(table: TableMetadata, rows: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    columns = list(zip(*rows, strict=True))
    return {column.name: pa.array(values, pa.string()) for column, values in zip(table.columns, columns, strict=True)}


def _expect_relations(connection: duckdb.DuckDBPyConnection, declared: Sequence[Declared]) -> None:
    """Nothing else is in the warehouse, and all of it has the columns it should have."""
    if connection.execute("from main.canary").fetchall() != [("alive",)]:
        raise WrongError("the canary in the warehouse is gone")
    expected: dict[tuple[str, str], tuple[str, ...] | None] = {("main", "canary"): ("state",), _PLATFORM: None}
    for one in declared:
        for table in one.tables:
            own = tuple(column.name for column in table.columns)
            validated = warehouse_schema(one.spec.name, table.name.schema, Layer.VALIDATED)
            curated = warehouse_schema(one.spec.name, table.name.schema, Layer.CURATED)
            name = table.name.table
            expected[validated, name] = (*own, *_VERSIONS[:-2])
            expected[validated, f"{name}__loads"] = None
            expected[curated, f"{name}_versions"] = (*own, *_VERSIONS)
            expected[curated, f"{name}_history"] = (*own, *_HISTORY)
            expected[curated, name] = own
    found: dict[tuple[str, str], list[str]] = {}
    for schema, relation, column in connection.execute(
        "select schema_name, table_name, column_name from duckdb_columns() where not internal order by column_index"
    ).fetchall():
        found.setdefault((schema, relation), []).append(column)
    if found.keys() != expected.keys():
        raise WrongError(f"relations: {found.keys() ^ expected.keys()}")
    for relation, columns in expected.items():
        if columns is not None and list(columns) != found[relation]:
            raise WrongError(f"{relation}: columns {found[relation]}, expected {columns}")


def _expect_rows(
    connection: duckdb.DuckDBPyConnection, source: str, table: TableMetadata, rows: Sequence[tuple[str, ...]]
) -> None:
    curated = quote(warehouse_schema(source, table.name.schema, Layer.CURATED))
    columns = ", ".join(quote(column.name) for column in table.columns)
    for suffix in ("", "_history"):
        found = connection.execute(f"select {columns} from {curated}.{quote(table.name.table + suffix)}").fetchall()
        if sorted(found) != sorted(rows):
            raise WrongError(f"{source}: {table.name}{suffix} shows {found}, the source has {rows}")


def _expect_descriptions(target: DbtTarget, declared: Sequence[Declared]) -> None:
    """What was written about a column in the source is there as it was written, and no more than text."""
    nodes = json.loads((target.target_dir / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    for one in declared:
        for table in one.tables:
            model = f"{one.spec.name}_{table.name.schema}__{table.name.table}"
            described = nodes[f"model.dms_assets.{model}"]["columns"]
            for column in table.columns:
                found = described[column.name]["description"]
                if found != (column.comment or ""):
                    raise WrongError(f"{table.name}: {column.name!r} is described as {found!r}, not {column.comment!r}")


def _expect_folders(world: World, declared: Sequence[Declared]) -> None:
    """Tables of the catalog, and what stands in the landing folder: only what was declared."""
    tables = {validated_identifier(one.spec.name, table.name) for one in declared for table in one.tables}
    found = {tuple(name) for space in world.catalog.list_namespaces() for name in world.catalog.list_tables(space)}
    if found != tables:
        raise WrongError(f"catalog: {found ^ tables}")
    keys = {meta.key for meta in world.stores.archive.list()}
    expected = {
        f"{one.spec.folder}/{table.name.schema}/{table.name.table}/" for one in declared for table in one.tables
    }
    strange = [key for key in keys if not any(folder in key for folder in expected)]
    if strange or world.listed():
        raise WrongError(f"objects nobody declared: {strange}, {world.listed()}")
