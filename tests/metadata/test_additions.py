"""Which columns a file of earlier metadata lacks, and until when that is right."""

from __future__ import annotations

from datetime import UTC, datetime

from dms_assets.metadata.additions import additions
from dms_assets.metadata.version_store import StoredVersion
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import Added, ColumnMetadata, TableMetadata

NAME = TableName("app", "person")


def shape(*columns: str, comment: str | None = None) -> TableMetadata:
    """A table with a key `id` and text columns; those that end in `!` are not nullable."""
    found = [ColumnMetadata("id", LogicalType.parse("int32"), "integer", nullable=False)]
    found += [
        ColumnMetadata(name.rstrip("!"), LogicalType.parse("string"), "text", nullable=not name.endswith("!"))
        for name in columns
    ]
    return TableMetadata(NAME, tuple(found), ("id",), comment=comment)


def at(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


def found(*shapes: TableMetadata) -> list[tuple[set[str], datetime]]:
    versions = [StoredVersion(number, at(number), metadata) for number, metadata in enumerate(shapes, 1)]
    return [(set(item.columns), item.known_at) for item in additions(versions, shapes[-1])]


def test_each_earlier_shape_lacks_what_came_after_it() -> None:
    assert found(shape("a"), shape("a", "b"), shape("a", "b", "c")) == [({"c"}, at(3)), ({"b", "c"}, at(2))]


def test_of_shapes_that_lack_the_same_the_last_counts() -> None:
    assert found(shape("a"), shape("a", comment="people"), shape("a", "b")) == [({"b"}, at(3))]


def test_nothing_is_lacking_without_earlier_shapes_or_where_null_would_be_wrong() -> None:
    assert found(shape("a")) == []
    assert found(shape("a"), shape("a", "b!")) == []
    assert found(shape("a", "b"), shape("a")) == []


def test_a_column_that_went_and_came_again_is_lacking_between() -> None:
    assert found(shape("a", "b"), shape("a"), shape("a", "b")) == [({"b"}, at(3))]
    assert additions([], shape("a")) == ()
    assert Added(frozenset({"b"}), at(3)).columns == {"b"}
