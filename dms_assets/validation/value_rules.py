"""Rules that the metadata of a column implies."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from dms_assets.model.logical_type import Kind, LogicalType
from dms_assets.model.table_metadata import ColumnMetadata
from dms_assets.validation.outcome import Group
from dms_assets.validation.rule import Rule, at_most_long, column_of, not_null, one_of, polars_type


def metadata_rules(column: ColumnMetadata, *, in_key: bool) -> list[Rule]:
    """The rules of one column. A key is judged in deletes too: one that is wrong would delete nothing, silently."""
    value_rule = not in_key
    rules: list[Rule] = []
    if in_key:
        rules.append(not_null(Group.KEY, column.name, value_rule=False))
    elif not column.nullable:
        rules.append(not_null(Group.NULLABILITY, column.name, value_rule=True))
    if column.length is not None and column.type.kind in {Kind.STRING, Kind.BINARY}:
        text = column.type.kind is Kind.STRING
        rules.append(at_most_long(Group.LENGTH, column.name, column.length, text=text, value_rule=value_rule))
    if column.type.kind is Kind.DECIMAL:
        rules.append(_digits(column.name, column.type, value_rule=value_rule))
    if column.enum is not None:
        allowed = pl.Series(column.enum, dtype=pl.String)
        rules.append(one_of(Group.DOMAIN, column.name, allowed, value_rule=value_rule))
    return rules


def _digits(column: str, logical: LogicalType, *, value_rule: bool) -> Rule:
    """A file says which precision a column has, and may hold numbers of more digits all the same."""
    if logical.precision is None or logical.scale is None:
        raise ValueError(f"column {column} of type {logical} has no precision")
    largest = Decimal((0, (9,) * logical.precision, -logical.scale))
    dtype = polars_type(logical)
    value = column_of(column)
    failing = (value > pl.lit(largest, dtype=dtype)) | (value < pl.lit(largest.copy_negate(), dtype=dtype))
    return Rule(
        Group.PRECISION,
        column,
        "digits",
        f"at most {logical.precision} digits, {logical.scale} of them after the point",
        failing.fill_null(value=False),
        value_rule=value_rule,
    )
