"""What changed between two versions of a table's metadata, and how much it matters to files and readers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from dms_assets.model.logical_type import Kind, LogicalType
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata


class Drift(IntEnum):
    """How severe a change is; the worst of a table's changes is the table's."""

    NONE = 0
    DESCRIPTIVE = 1
    ADDITIVE = 2
    WIDENING = 3
    BREAKING = 4


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, in words, with its severity."""

    drift: Drift
    text: str


_INTEGERS = [Kind.INT16, Kind.INT32, Kind.INT64]


def _widens(old: LogicalType, new: LogicalType) -> bool:
    if old.kind in _INTEGERS and new.kind in _INTEGERS:
        return _INTEGERS.index(old.kind) < _INTEGERS.index(new.kind)
    if old.kind is new.kind is Kind.DECIMAL and old.precision and new.precision:
        return old.scale == new.scale and old.precision < new.precision
    return old.kind is Kind.FLOAT32 and new.kind is Kind.FLOAT64


def _column_changes(old: ColumnMetadata, new: ColumnMetadata) -> list[Change]:
    changes = []
    if old.type != new.type:
        drift = Drift.WIDENING if _widens(old.type, new.type) else Drift.BREAKING
        changes.append(Change(drift, f"column {new.name}: type {old.type} became {new.type}"))
    if old.length != new.length:
        shorter = new.length is not None and (old.length is None or new.length < old.length)
        drift = Drift.BREAKING if shorter else Drift.WIDENING
        changes.append(Change(drift, f"column {new.name}: length {old.length} became {new.length}"))
    if old.nullable != new.nullable:
        drift = Drift.WIDENING if new.nullable else Drift.BREAKING
        changes.append(Change(drift, f"column {new.name}: {'now' if new.nullable else 'no longer'} nullable"))
    if old.enum != new.enum:
        gone = set(old.enum or ()) - set(new.enum or ())
        drift = Drift.BREAKING if gone and new.enum else Drift.WIDENING
        changes.append(Change(drift, f"column {new.name}: allowed values changed"))
    if (old.comment, old.source_type) != (new.comment, new.source_type) and not changes:
        changes.append(Change(Drift.DESCRIPTIVE, f"column {new.name}: comment or source type changed"))
    return changes


def compare(old: TableMetadata | None, new: TableMetadata) -> list[Change]:
    """The changes from `old` to `new`, in column order; empty if there are none or `old` is None (first version)."""
    if old is None or old.version == new.version:
        return []
    before = {column.name: column for column in old.columns}
    after = {column.name: column for column in new.columns}
    changes = [Change(Drift.BREAKING, f"column {name} is gone") for name in before if name not in after]
    for name, column in after.items():
        if name in before:
            changes += _column_changes(before[name], column)
        else:
            changes.append(Change(Drift.ADDITIVE, f"column {name} is new ({column.source_type})"))
    if old.key != new.key:
        changes.append(Change(Drift.BREAKING, f"key {list(old.key)} became {list(new.key)}"))
    if not changes:
        changes.append(Change(Drift.DESCRIPTIVE, "comments, references or log settings changed"))
    return changes


def worst(changes: list[Change]) -> Drift:
    """The most severe of some changes; NONE without any."""
    return max((change.drift for change in changes), default=Drift.NONE)
