"""Table metadata as Dagster shows it: column schema with types, comments, constraints and links, and column lineage."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pyarrow as pa

from dms_assets.curation.generate import PLATFORM_COLUMNS
from dms_assets.model.change_columns import COMMIT_AT, OP, PLATFORM_FIELDS, POSITION, SEQ, LandingColumns
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.pipeline.column_links import (
    SET_BY_PLATFORM,
    Ancestry,
    Origin,
    column_description,
    lineage_page,
    table_lineage,
)
from dms_assets.pipeline.keys import table_key

_BEFORE = {Layer.METADATA: Layer.SOURCE, Layer.LANDING: Layer.SOURCE, Layer.VALIDATED: Layer.LANDING}


def described_columns(spec: SourceSpec, layer: Layer, metadata: TableMetadata) -> dict[str, Any]:
    """Definition metadata of a table in one of the layers before dbt: its columns and where each comes from.

    Landing has the columns that DMS adds to a file, validated those of the platform.
    """
    key = table_key(spec.name, layer, metadata.name)
    ancestry = {column.name: _ancestry(spec, layer, metadata.name, column.name) for column in metadata.columns}
    schema = column_schema(metadata, source_types=layer is Layer.SOURCE, ancestry=ancestry)
    added = {
        Layer.LANDING: lambda: _landing_columns(spec.dms.columns),
        Layer.VALIDATED: lambda: _platform_columns(spec, metadata.name),
    }.get(layer)
    columns = list(schema.columns)
    for column, found in added() if added else ():
        columns.append(column)
        ancestry[column.name] = found
    shown: dict[str, Any] = {"dagster/column_schema": dg.TableSchema(columns), "column lineage": lineage_page(key)}
    if layer is not Layer.SOURCE:
        shown["dagster/column_lineage"] = table_lineage(ancestry)
    return shown


def column_schema(
    metadata: TableMetadata, *, source_types: bool = False, ancestry: dict[str, Ancestry] | None = None
) -> dg.TableSchema:
    """The columns of a table, with canonical types or, for the source itself, the engine's own."""
    known = ancestry or {}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.source_type if source_types else str(column.type),
                description=column_description(column.comment, known.get(column.name, Ancestry())),
                constraints=_constraints(column),
                tags={"key": ""} if column.name in metadata.key else {},
            )
            for column in metadata.columns
        ]
    )


def column_lineage(metadata: TableMetadata, upstream: dg.AssetKey) -> dg.TableColumnLineage:
    """Every column comes from the column of the same name of the asset before."""
    return table_lineage({column.name: Ancestry((Origin(upstream, column.name),)) for column in metadata.columns})


def _constraints(column: ColumnMetadata) -> dg.TableColumnConstraints:
    other = []
    if column.length is not None:
        other.append(f"at most {column.length} long")
    if column.enum:
        other.append(f"one of {', '.join(column.enum)}")
    return dg.TableColumnConstraints(nullable=column.nullable, other=other)


def _ancestry(spec: SourceSpec, layer: Layer, name: TableName, column: str) -> Ancestry:
    if layer is Layer.SOURCE:
        return Ancestry()
    before = Origin(table_key(spec.name, _BEFORE[layer], name), column)
    return Ancestry((before,), (Origin(table_key(spec.name, Layer.SOURCE, name), column),))


def _landing_columns(columns: LandingColumns) -> list[tuple[dg.TableColumn, Ancestry]]:
    about = {
        columns.op: "What happened: I, U or D. Files of a full load may lack it.",
        columns.timestamp: "When the source committed the change, UTC.",
        columns.seq: "Change sequence: orders the changes of one stream.",
        columns.position: "Position in the source's log.",
    }
    added = Ancestry(note="Added by DMS.")
    return [
        (dg.TableColumn(name, "string", column_description(text, added), tags={"dms": ""}), added)
        for name, text in about.items()
        if name is not None
    ]


def _platform_columns(spec: SourceSpec, name: TableName) -> list[tuple[dg.TableColumn, Ancestry]]:
    landing, written = table_key(spec.name, Layer.LANDING, name), spec.dms.columns
    origins = {OP: written.op, COMMIT_AT: written.timestamp, SEQ: written.seq, POSITION: written.position}
    found = []
    for field in PLATFORM_FIELDS:
        origin = origins.get(field.name)
        ancestry = Ancestry((Origin(landing, origin),)) if origin else Ancestry(note=SET_BY_PLATFORM)
        about = column_description(PLATFORM_COLUMNS[field.name][1], ancestry)
        constraints = dg.TableColumnConstraints(nullable=field.nullable)
        column = dg.TableColumn(field.name, _PLATFORM_TYPES[field.type], about, constraints, tags={"platform": ""})
        found.append((column, ancestry))
    return found


_PLATFORM_TYPES: dict[pa.DataType, str] = {
    pa.string(): "string",
    pa.int64(): "int64",
    pa.binary(): "binary",
    pa.timestamp("us", tz="UTC"): "timestamptz",
}
