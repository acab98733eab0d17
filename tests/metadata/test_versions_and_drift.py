"""Metadata versions are immutable and ordered; drift is classified by what it does to files and readers."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dms_assets.lake.folder_store import FolderStore
from dms_assets.metadata.column_names import ColumnNamesError
from dms_assets.metadata.drift import Drift, compare, worst
from dms_assets.metadata.version_store import VersionStore
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def column(name: str, type_: str = "int32", **rest: object) -> ColumnMetadata:
    return ColumnMetadata(name, LogicalType.parse(type_), type_, **rest)  # type: ignore[arg-type]


TABLE = TableMetadata(
    TableName("s", "t"),
    (column("id", nullable=False), column("amount", "decimal(9,2)"), column("name", "string", length=20)),
    key=("id",),
)


def with_column(changed: ColumnMetadata) -> TableMetadata:
    return replace(TABLE, columns=tuple(changed if c.name == changed.name else c for c in TABLE.columns))


@pytest.mark.parametrize(
    ("new", "drift"),
    [
        (TABLE, Drift.NONE),
        (replace(TABLE, comment="people"), Drift.DESCRIPTIVE),
        (replace(TABLE, columns=(*TABLE.columns, column("more"))), Drift.ADDITIVE),
        (with_column(column("amount", "decimal(12,2)")), Drift.WIDENING),
        (with_column(column("amount", "decimal(12,4)")), Drift.BREAKING),
        (with_column(column("id", "int64", nullable=False)), Drift.WIDENING),
        (with_column(column("id", "int16", nullable=False)), Drift.BREAKING),
        (with_column(column("name", "string", length=40)), Drift.WIDENING),
        (with_column(column("name", "string", length=10)), Drift.BREAKING),
        (with_column(column("name", "string")), Drift.WIDENING),
        (with_column(column("name", "string", length=20, nullable=False)), Drift.BREAKING),
        (TABLE.without({"name"}), Drift.BREAKING),
        (replace(TABLE, key=()), Drift.BREAKING),
    ],
)
def test_drift_is_classified(new: TableMetadata, drift: Drift) -> None:
    assert worst(compare(TABLE, new)) is drift


def test_metadata_survives_json() -> None:
    table = with_column(column("name", "string", enum=("a", "b"), comment="who", length=3))
    assert TableMetadata.from_json(table.to_json()) == table


def test_versions_are_recorded_once_and_in_order(tmp_path: Path) -> None:
    store = VersionStore(FolderStore(tmp_path), "probation")
    assert store.current(TABLE.name) is None
    first, before = store.record(TABLE, NOW)
    assert (first.ordinal, before) == (1, None)
    assert store.record(TABLE, NOW) == (first, None)
    wider = replace(TABLE, columns=(*TABLE.columns, column("more")))
    second, before = store.record(wider, NOW)
    assert (second.ordinal, before) == (2, first)
    third, _ = store.record(TABLE, NOW)
    assert third.ordinal == 3
    assert third.metadata.version == first.metadata.version
    assert [version.ordinal for version in store.history(TABLE.name)] == [1, 2, 3]


def test_two_writers_cannot_take_one_ordinal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = (VersionStore(FolderStore(tmp_path), "probation") for _ in range(2))
    wider = replace(TABLE, columns=(*TABLE.columns, column("more")))
    look = slow.current
    looks: list[int] = []

    def look_then_be_overtaken(name: TableName) -> object:
        found = look(name)
        if not looks:
            fast.record(wider, NOW)
        looks.append(1)
        return found

    monkeypatch.setattr(slow, "current", look_then_be_overtaken)
    stored, before = slow.record(TABLE, NOW)
    assert len(looks) == 2
    assert stored.ordinal == 2
    assert before is not None
    assert before.metadata == wider


@pytest.mark.parametrize("name", ["Name", "NAME", "_seq", "_Batch", "_scd2_ends"])
def test_columns_that_nothing_could_keep_apart_are_no_version(tmp_path: Path, name: str) -> None:
    store = VersionStore(FolderStore(tmp_path), "office")
    store.record(TABLE, NOW)
    with pytest.raises(ColumnNamesError, match=f"table s.t: column '{name}' is taken for .* exclude_columns"):
        store.record(replace(TABLE, columns=(*TABLE.columns, column(name))), NOW)
    assert [version.metadata for version in store.history(TABLE.name)] == [TABLE]
