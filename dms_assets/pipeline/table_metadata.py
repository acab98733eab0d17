"""Table metadata as Dagster shows it: column schema with types, comments and constraints."""

from __future__ import annotations

import dagster as dg

from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata


def _constraints(column: ColumnMetadata) -> dg.TableColumnConstraints:
    other = []
    if column.length is not None:
        other.append(f"at most {column.length} long")
    if column.enum:
        other.append(f"one of {', '.join(column.enum)}")
    return dg.TableColumnConstraints(nullable=column.nullable, other=other)


def column_schema(metadata: TableMetadata, *, source_types: bool = False) -> dg.TableSchema:
    """The columns of a table, with canonical types or, for the source itself, the engine's own."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.source_type if source_types else str(column.type),
                description=column.comment,
                constraints=_constraints(column),
                tags={"key": ""} if column.name in metadata.key else {},
            )
            for column in metadata.columns
        ]
    )


def column_lineage(metadata: TableMetadata, upstream: dg.AssetKey) -> dg.TableColumnLineage:
    """Every column comes from the column of the same name of the asset before."""
    return dg.TableColumnLineage(
        {column.name: [dg.TableColumnDep(upstream, column.name)] for column in metadata.columns}
    )
