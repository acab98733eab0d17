"""All rules of a table: those its metadata implies, those DMS's own columns follow, and those declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import polars as pl

from dms_assets.model.change_columns import DELETE_OP, LandingColumns
from dms_assets.model.column_check import ColumnCheck
from dms_assets.model.landed_file import FileKind
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.validation.change_rules import change_rules
from dms_assets.validation.declared import declared_rules
from dms_assets.validation.rule import Rule
from dms_assets.validation.value_rules import metadata_rules


def table_rules(
    metadata: TableMetadata,
    checks: Sequence[ColumnCheck],
    columns: LandingColumns,
    kind: FileKind,
    *,
    has_op: bool,
    unique_positions: bool,
    ordered: bool,
    written_at: datetime,
) -> list[Rule]:
    """All rules for files of a kind, see `change_rules`. Raises DeclaredCheckError."""
    rules = change_rules(
        columns, kind, has_op=has_op, unique_positions=unique_positions, ordered=ordered, written_at=written_at
    )
    for column in metadata.columns:
        rules += metadata_rules(column, in_key=column.name in metadata.key)
    for check in checks:
        rules += declared_rules(metadata, check)
    return [_but_deletes(rule, columns.op) for rule in rules] if kind is FileKind.CDC else rules


def _but_deletes(rule: Rule, op: str) -> Rule:
    if not rule.value_rule:
        return rule
    return replace(rule, failing=rule.failing & ~(pl.col(op) == DELETE_OP).fill_null(value=False))
