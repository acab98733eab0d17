"""Is a file's Parquet schema exactly what the metadata says? Judged by physical and logical type, nothing widened.

Arrow's own schema in the footer is a hint of the writer and is not looked at: DMS does not write one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from dms_assets.model.change_columns import LandingColumns
from dms_assets.model.landed_file import FileKind
from dms_assets.model.logical_type import Kind, LogicalType
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.validation.outcome import BrokenRule, CheckOutcome, Group

_MAX_NAMED = 20
_DECIMAL_STORAGE = {"INT32", "INT64", "FIXED_LEN_BYTE_ARRAY", "BYTE_ARRAY"}
_TEXT = LogicalType(Kind.STRING)

_EXACT: dict[Kind, tuple[str, tuple[str, ...]]] = {
    Kind.BOOLEAN: ("BOOLEAN", ("",)),
    Kind.INT16: ("INT32", ("int(16,signed)",)),
    Kind.INT32: ("INT32", ("", "int(32,signed)")),
    Kind.INT64: ("INT64", ("", "int(64,signed)")),
    Kind.FLOAT32: ("FLOAT", ("",)),
    Kind.FLOAT64: ("DOUBLE", ("",)),
    Kind.STRING: ("BYTE_ARRAY", ("string",)),
    Kind.BINARY: ("BYTE_ARRAY", ("",)),
    Kind.DATE: ("INT32", ("date",)),
    Kind.TIME: ("INT32", ("time(milliseconds)",)),
    Kind.TIMESTAMP: ("INT64", ("timestamp(microseconds)", "timestamp(microseconds,utc)")),
    Kind.TIMESTAMPTZ: ("INT64", ("timestamp(microseconds,utc)",)),
}


@dataclass(frozen=True, slots=True)
class LandedSchema:
    """The columns a file of a table must have. `optional` may be there or not (`Op` in LOAD files)."""

    required: dict[str, LogicalType]
    optional: dict[str, LogicalType]

    @property
    def all(self) -> dict[str, LogicalType]:
        """Every column a file may have."""
        return {**self.optional, **self.required}

    def lacking(self, names: frozenset[str]) -> LandedSchema:
        """The same without some columns."""
        return LandedSchema({name: found for name, found in self.required.items() if name not in names}, self.optional)


def landed_schema(metadata: TableMetadata, columns: LandingColumns, kind: FileKind) -> LandedSchema:
    """What the metadata and the endpoint's settings demand of a file. Columns count by name, not by place."""
    added = {name: _TEXT for name in (columns.timestamp, columns.seq, columns.position) if name is not None}
    required = {**{column.name: column.type for column in metadata.columns}, **added}
    if kind is FileKind.CDC:
        return LandedSchema({columns.op: _TEXT, **required}, {})
    return LandedSchema(required, {columns.op: _TEXT})


def check_schema(found: pq.ParquetSchema, expected: LandedSchema) -> CheckOutcome:
    """Compare a file's columns with those expected; all differences are counted, the first twenty named."""
    problems = _differences(found, expected)
    named = problems[:_MAX_NAMED]
    told = "; ".join(f"column '{problem.column}' {problem.found}" for problem in named)
    if len(problems) > _MAX_NAMED:
        told += f"; and {len(problems) - _MAX_NAMED} more"
    return CheckOutcome(
        group=Group.SCHEMA,
        passed=not problems,
        expected=f"{len(expected.required)} columns, as in the metadata",
        found=told or f"{len(found)} columns, as expected",
        failing=len(problems),
        broken=tuple(named),
    )


def _differences(found: pq.ParquetSchema, expected: LandedSchema) -> list[BrokenRule]:
    problems: list[BrokenRule] = []
    seen: set[str] = set()
    for index in range(len(found)):
        column = found.column(index)
        name = str(column.path)
        wanted = expected.all.get(name)
        if name in seen:
            problems.append(_difference("once", _shown(name), "one column of the name", "is there twice"))
        elif wanted is None:
            told = f"({_found_text(column)}) is not in the metadata"
            problems.append(_difference("known", _shown(name), "no such column", told))
        elif not _is(column, wanted):
            told = f"is {_found_text(column)}, not {_expected_text(wanted)}"
            problems.append(_difference("type", name, _expected_text(wanted), told))
        seen.add(name)
    problems += [
        _difference("present", name, _expected_text(logical), f"({logical}) is missing")
        for name, logical in expected.required.items()
        if name not in seen
    ]
    return problems


def _difference(rule: str, column: str, expected: str, found: str) -> BrokenRule:
    return BrokenRule(rule, column, expected, found, failing=1)


def _is(column: pq.ColumnSchema, wanted: LogicalType) -> bool:
    if column.max_repetition_level != 0 or column.max_definition_level > 1 or column.path != column.name:
        return False
    logical = _logical_text(column)
    if wanted.kind is Kind.DECIMAL:
        return column.physical_type in _DECIMAL_STORAGE and logical == f"decimal({wanted.precision},{wanted.scale})"
    physical, logicals = _EXACT[wanted.kind]
    return bool(column.physical_type == physical and logical in logicals)


def _logical_text(column: pq.ColumnSchema) -> str:
    """A short canonical spelling of the logical type: '' for none."""
    found: dict[str, Any] = json.loads(column.logical_type.to_json())
    kind = str(found["Type"]).lower()
    if kind in {"none", "null", "undefined"}:
        return "" if kind == "none" else kind
    if kind == "int":
        return f"int({found['bitWidth']},{'signed' if found['isSigned'] else 'unsigned'})"
    if kind == "decimal":
        return f"decimal({found['precision']},{found['scale']})"
    if kind == "time":
        return f"time({found['timeUnit']})"
    if kind == "timestamp":
        return f"timestamp({found['timeUnit']}{',utc' if found['isAdjustedToUTC'] else ''})"
    return kind


def _found_text(column: pq.ColumnSchema) -> str:
    nested = " nested" if column.max_repetition_level or column.path != column.name else ""
    return f"{column.physical_type} {_logical_text(column) or 'plain'}{nested}"


def _expected_text(wanted: LogicalType) -> str:
    if wanted.kind is Kind.DECIMAL:
        return str(wanted)
    physical, logicals = _EXACT[wanted.kind]
    return f"{wanted} ({physical} {' or '.join(logical or 'plain' for logical in logicals)})"


def _shown(name: str) -> str:
    """A column name of an untrusted file, fit to be shown."""
    return name[:80].encode("unicode_escape").decode("ascii")
