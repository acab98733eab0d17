"""Rules of a table as polars expressions: each says which rows of a landed batch fail it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

import polars as pl
import pyarrow as pa

from dms_assets.model.change_columns import DELETE_OP, INSERT_OP, UPDATE_OP, LandingColumns
from dms_assets.model.landed_file import FileKind
from dms_assets.model.logical_type import Kind, LogicalType
from dms_assets.model.source_spec import ColumnCheck
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.validation.outcome import Group

TIMESTAMP_FORMAT = "%Y-%m-%d %H:%M:%S%.6f"
_TIMESTAMP = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$"
_SEQUENCE = r"^[0-9]{35}$"
_NUMBERS = {Kind.INT16, Kind.INT32, Kind.INT64, Kind.FLOAT32, Kind.FLOAT64, Kind.DECIMAL}


class DeclaredCheckError(ValueError):
    """A check in the source's declaration does not fit the column it names."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `failing` is true for the rows that break it, and never null.

    `values` are what the rule is made of, for the Pandera schema: `not_null`, `max_length`, `isin`, `ge`, `le`,
    `matches`. Rules on values (`value_rule`) do not apply to deletes, of which a source may log the key only.
    """

    group: Group
    column: str
    kind: str
    expected: str
    failing: pl.Expr
    value_rule: bool
    argument: object = None


def polars_type(logical: LogicalType) -> pl.DataType:
    """The polars type of a landed column."""
    return pl.Series(pa.array([], logical.arrow)).dtype


def table_rules(
    metadata: TableMetadata,
    checks: Sequence[ColumnCheck],
    columns: LandingColumns,
    kind: FileKind,
    *,
    has_op: bool,
    unique_positions: bool,
) -> list[Rule]:
    """All rules for files of a kind. `has_op`: the file has an `Op` column. Raises DeclaredCheckError."""
    rules = _change_rules(columns, kind, has_op=has_op, unique_positions=unique_positions)
    deletes = pl.col(columns.op) == DELETE_OP if kind is FileKind.CDC else None
    for column in metadata.columns:
        if column.name in metadata.key:
            rules.append(_not_null(Group.KEY, column.name, value_rule=False))
        for rule in _value_rules(column, in_key=column.name in metadata.key):
            rules.append(rule if deletes is None else _but(rule, deletes))
    for check in checks:
        for rule in _declared_rules(metadata, check):
            rules.append(rule if deletes is None else _but(rule, deletes))
    return rules


def count_failures(frame: pl.DataFrame, rules: Sequence[Rule]) -> list[int]:
    """How many rows of a landed batch fail each rule: one pass over the frame."""
    if not rules or frame.is_empty():
        return [0] * len(rules)
    sums = [rule.failing.sum().alias(str(index)) for index, rule in enumerate(rules)]
    return [int(count) for count in frame.lazy().select(sums).collect().row(0)]


def _change_rules(columns: LandingColumns, kind: FileKind, *, has_op: bool, unique_positions: bool) -> list[Rule]:
    rules: list[Rule] = []
    change = kind is FileKind.CDC
    if has_op:
        ops = (INSERT_OP, UPDATE_OP, DELETE_OP) if change else (INSERT_OP,)
        rules.append(
            Rule(
                Group.OP,
                columns.op,
                "op",
                f"one of {', '.join(ops)}",
                ~pl.col(columns.op).is_in(ops).fill_null(value=False),
                value_rule=False,
            )
        )
    stamp = pl.col(columns.timestamp)
    good = stamp.str.contains(_TIMESTAMP) & stamp.str.to_datetime(TIMESTAMP_FORMAT, strict=False).is_not_null()
    rules.append(
        Rule(
            Group.SEQUENCE,
            columns.timestamp,
            "timestamp",
            "yyyy-MM-dd HH:mm:ss.SSSSSS",
            ~good.fill_null(value=False),
            value_rule=False,
        )
    )
    if columns.seq is not None:
        seq = pl.col(columns.seq)
        failing = ~seq.str.contains(_SEQUENCE).fill_null(value=False) if change else (seq != "").fill_null(value=False)
        expected = "35 digits" if change else "empty in a full load"
        rules.append(Rule(Group.SEQUENCE, columns.seq, "seq", expected, failing, value_rule=False))
    if change and unique_positions and columns.position is not None:
        position = pl.col(columns.position)
        failing = (position.str.len_bytes() == 0).fill_null(value=True)
        rules.append(Rule(Group.SEQUENCE, columns.position, "position", "not empty", failing, value_rule=False))
    return rules


def _value_rules(column: ColumnMetadata, *, in_key: bool) -> list[Rule]:
    rules: list[Rule] = []
    value = pl.col(column.name)
    if not column.nullable and not in_key:
        rules.append(_not_null(Group.NULLABILITY, column.name, value_rule=True))
    if column.length is not None and column.type.kind in {Kind.STRING, Kind.BINARY}:
        text = column.type.kind is Kind.STRING
        size = value.str.len_chars() if text else value.bin.size()
        expected = f"at most {column.length} {'characters' if text else 'bytes'}"
        kind = "max_length" if text else "max_bytes"
        rules.append(
            Rule(
                Group.LENGTH,
                column.name,
                kind,
                expected,
                (size > column.length).fill_null(value=False),
                value_rule=True,
                argument=column.length,
            )
        )
    if column.enum is not None:
        rules.append(_isin(column.name, pl.Series(column.enum, dtype=pl.String)))
    return rules


def _declared_rules(metadata: TableMetadata, check: ColumnCheck) -> list[Rule]:
    try:
        column = metadata.column(check.column)
    except KeyError as error:
        raise DeclaredCheckError(
            f"table {metadata.name} has no column '{check.column}' to check; correct the name in defs.yaml"
        ) from error
    value = pl.col(check.column)
    rules: list[Rule] = []
    if check.isin is not None:
        rules.append(_isin(check.column, _allowed(metadata, column, check.isin)))
    for name, bound in (("ge", check.ge), ("le", check.le)):
        if bound is None:
            continue
        if column.type.kind not in _NUMBERS:
            raise DeclaredCheckError(
                f"check {name} on {metadata.name}.{check.column}: the column is {column.type}, not a number"
            )
        passing = value >= bound if name == "ge" else value <= bound
        expected = f"{'at least' if name == 'ge' else 'at most'} {bound:g}"
        rules.append(
            Rule(
                Group.DOMAIN,
                check.column,
                name,
                expected,
                ~passing.fill_null(value=True),
                value_rule=True,
                argument=bound,
            )
        )
    if check.matches is not None:
        if column.type.kind is not Kind.STRING:
            raise DeclaredCheckError(
                f"check matches on {metadata.name}.{check.column}: the column is {column.type}, not a string"
            )
        pattern = _whole(metadata, check.column, check.matches)
        rules.append(
            Rule(
                Group.DOMAIN,
                check.column,
                "matches",
                f"matches {check.matches}",
                ~value.str.contains(pattern).fill_null(value=True),
                value_rule=True,
                argument=pattern,
            )
        )
    return rules


def _whole(metadata: TableMetadata, column: str, pattern: str) -> str:
    whole = rf"^(?:{pattern})$"
    try:
        pl.Series([""]).str.contains(whole)
    except pl.exceptions.ComputeError as error:
        raise DeclaredCheckError(
            f"check matches on {metadata.name}.{column}: {pattern!r} is not a pattern ({error})"
        ) from error
    return whole


def _allowed(metadata: TableMetadata, column: ColumnMetadata, values: Sequence[object]) -> pl.Series:
    name = f"check isin on {metadata.name}.{column.name}"
    if column.type.kind not in {*_NUMBERS, Kind.STRING, Kind.BOOLEAN}:
        raise DeclaredCheckError(f"{name}: columns of type {column.type} have no list of values; use ge, le or matches")
    try:
        exact: list[object] = list(values)
        if column.type.kind is Kind.DECIMAL:
            exact = [Decimal(str(value)) for value in values]
        return pl.Series(exact, dtype=polars_type(column.type), strict=True)
    except (TypeError, pl.exceptions.PolarsError, OverflowError, InvalidOperation) as error:
        raise DeclaredCheckError(f"{name}: {list(values)} are not all values of type {column.type}") from error


def _isin(column: str, allowed: pl.Series) -> Rule:
    failing = ~pl.col(column).is_in(allowed.implode()).fill_null(value=True)
    return Rule(
        Group.DOMAIN,
        column,
        "isin",
        f"one of {len(allowed)} allowed values",
        failing,
        value_rule=True,
        argument=allowed,
    )


def _not_null(group: Group, column: str, *, value_rule: bool) -> Rule:
    return Rule(group, column, "not_null", "not null", pl.col(column).is_null(), value_rule=value_rule)


def _but(rule: Rule, exempt: pl.Expr) -> Rule:
    return replace(rule, failing=rule.failing & ~exempt.fill_null(value=False)) if rule.value_rule else rule
