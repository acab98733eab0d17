"""The columns of a validated table as they are stored in Iceberg, and how a table takes on new ones."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from dms_assets.model.change_columns import PLATFORM_FIELDS, validated_schema
from dms_assets.model.logical_type import Kind, LogicalType
from dms_assets.model.table_metadata import TableMetadata

COLUMNS_PROPERTY = "dms-assets.columns"
"""Iceberg property with the names and canonical types of the source columns: Iceberg knows fewer types."""


class BreakingSchemaError(Exception):
    """The metadata changed in a way that the stored table cannot follow."""


def stored_type(logical: LogicalType) -> pa.DataType:
    """The Arrow type of a column in data files: the canonical one, but times in microseconds (Iceberg has no other)."""
    return pa.time64("us") if logical.kind is Kind.TIME else logical.arrow


def stored_schema(metadata: TableMetadata) -> pa.Schema:
    """Schema of the data files of a table: its validated schema in types that Iceberg has."""
    types = {column.name: stored_type(column.type) for column in metadata.columns}
    return pa.schema([field.with_type(types.get(field.name, field.type)) for field in validated_schema(metadata)])


def columns_to_json(columns: dict[str, LogicalType]) -> str:
    """Column names and canonical types as text, in order; `columns_from_json` reads it back."""
    return json.dumps({"v": 1, "columns": [[name, str(logical)] for name, logical in columns.items()]})


def columns_from_json(text: str) -> dict[str, LogicalType]:
    """The columns that `columns_to_json` wrote."""
    return {name: LogicalType.parse(logical) for name, logical in json.loads(text)["columns"]}


def schema_of(columns: dict[str, LogicalType]) -> pa.Schema:
    """Arrow schema of a table with these source columns, in the order of the validated schema."""
    fields: list[pa.Field[Any]] = [pa.field(name, stored_type(logical)) for name, logical in columns.items()]
    return pa.schema([*fields, *PLATFORM_FIELDS])


def evolved(stored: dict[str, LogicalType], metadata: TableMetadata) -> dict[str, LogicalType]:
    """The columns of the stored table once it has taken on those of `metadata`: old ones stay, new ones are added.

    Raises BreakingSchemaError, naming all columns whose type changed.
    """
    current = {column.name: column.type for column in metadata.columns}
    changed = [
        f"{name}: {stored[name]} -> {current[name]}"
        for name in current
        if stored.get(name, current[name]) != current[name]
    ]
    if changed:
        raise BreakingSchemaError(
            f"validated table of {metadata.name} cannot follow a changed type ({', '.join(changed)}); "
            "change it back in the source, or give the column a new name and reload the table"
        )
    return {**stored, **{name: logical for name, logical in current.items() if name not in stored}}
