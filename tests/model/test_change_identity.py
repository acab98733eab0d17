"""Identities: one definition in two forms, injective, and the same for ever."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dms_assets.model import change_identity_arrow
from dms_assets.model.canonical_bytes import encode
from dms_assets.model.change_identity import Origin, PositionMissingError, change_id
from dms_assets.model.change_identity_arrow import change_ids
from dms_assets.model.landed_file import FileIdentity
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata

FILE = FileIdentity("src/app/t/20260101-000000000.parquet", "etag", "2026-01-01T00:00:00.000000+00:00")
CHANGES = Origin(FILE, 1, None)
LOAD = Origin(FILE, 1, "000001-20260101T000000000000")
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def decimals(digits: int, places: int) -> st.SearchStrategy[Decimal]:
    # Not scaleb(), which rounds to the context's 28 digits.
    return st.integers(-(10**digits) + 1, 10**digits - 1).map(lambda number: Decimal(f"{number}E-{places}"))


ZONED = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "decimal(12,3)": decimals(12, 3),
    "decimal(38,0)": decimals(38, 0),
    "decimal(38,38)": decimals(38, 38),
    "float32": st.floats(width=32),
    "float64": st.floats(),
    "string": st.text(max_size=20),
    "binary": st.binary(max_size=20),
    "date": st.dates(),
    "time": st.times().map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000, fold=0)),
    "timestamp": st.datetimes(),
    "timestamptz": ZONED,
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[TableMetadata, list[tuple[Any, ...]]]:
    """A table of any types, with up to three key columns, and some rows."""
    types = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6))
    names = draw(st.lists(st.text("abcé_", min_size=1, max_size=4), min_size=len(types), max_size=6, unique=True))
    columns = [ColumnMetadata(name, LogicalType.parse(kind), kind) for name, kind in zip(names, types, strict=False)]
    key = tuple(draw(st.lists(st.sampled_from([column.name for column in columns]), max_size=3, unique=True)))
    rows = draw(st.lists(st.tuples(*(st.none() | VALUES[kind] for kind in types)), min_size=1, max_size=8))
    return TableMetadata(TableName("app", "t"), tuple(columns), key), rows


def arrow(metadata: TableMetadata, rows: list[tuple[Any, ...]], positions: list[str | None] | None = None) -> pa.Table:
    columns = {
        column.name: pa.array([row[index] for row in rows], column.type.arrow)
        for index, column in enumerate(metadata.columns)
    }
    count = len(rows)
    platform = {
        "_op": pa.array(["U"] * count),
        "_commit_at": pa.array([AT + timedelta(microseconds=row) for row in range(count)], pa.timestamp("us", "UTC")),
        "_position": pa.array(positions or [f"p{row % 2}" for row in range(count)], pa.string()),
        "_file_row": pa.array(range(count), pa.int64()),
    }
    return pa.table({**columns, **platform})


def scalar(metadata: TableMetadata, origin: Origin, row: tuple[Any, ...], number: int, *, unique: bool) -> bytes:
    return change_id(
        metadata,
        origin,
        unique_positions=unique,
        op="U",
        content=row,
        commit_at=AT + timedelta(microseconds=number),
        position=f"p{number % 2}",
        file_row=number,
    )


@settings(max_examples=200, deadline=None)
@given(tables(), st.booleans(), st.sampled_from([CHANGES, LOAD]))
def test_both_forms_are_equal(made: tuple[TableMetadata, list[tuple[Any, ...]]], unique: bool, origin: Origin) -> None:
    metadata, rows = made
    found = change_ids(arrow(metadata, rows), metadata, origin, unique_positions=unique)
    assert found.type == pa.binary()
    assert found.to_pylist() == [
        scalar(metadata, origin, row, number, unique=unique) for number, row in enumerate(rows)
    ]


@settings(deadline=None)
@given(tables(), st.integers(0, 3), st.integers(1, 3))
def test_slices_and_chunks_do_not_matter(
    made: tuple[TableMetadata, list[tuple[Any, ...]]], skip: int, step: int
) -> None:
    metadata, rows = made
    whole = arrow(metadata, rows)
    expected = change_ids(whole, metadata, CHANGES, unique_positions=True).to_pylist()[skip:]
    pieces = [whole.slice(start, step) for start in range(skip, len(rows), step)]
    cut = pa.concat_tables(pieces) if pieces else whole.slice(skip)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(change_identity_arrow, "SLICE_ROWS", 2)
        assert change_ids(cut, metadata, CHANGES, unique_positions=True).to_pylist() == expected


def bits(kind: str, value: Any) -> object:
    """What makes a value the same or another."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else (value, math.copysign(1, value))
    return value is not None and (kind == "boolean", value)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_different_values_have_different_bytes(data: st.DataObject) -> None:
    """Whatever their types: only the widths of integers, floats and decimals are not part of a value."""
    families = {"int16": "int", "int32": "int", "int64": "int", "float32": "float", "float64": "float"}
    one, other = (
        (kind, data.draw(st.none() | VALUES[kind])) for kind in data.draw(st.tuples(*[st.sampled_from([*VALUES])] * 2))
    )
    names = [families.get(kind, kind.split("(")[0]) if value is not None else "null" for kind, value in (one, other)]
    same = names[0] == names[1] and bits(*one) == bits(*other)
    encoded = [encode(value, LogicalType.parse(kind)) for kind, value in (one, other)]
    assert (encoded[0] == encoded[1]) == same


TEXTS = st.text("ab\0", max_size=3) | st.none()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=2, max_size=2, unique=True))
def test_rows_that_differ_only_in_where_a_value_ends_differ(rows: list[tuple[str | None, ...]]) -> None:
    columns = tuple(ColumnMetadata(name, LogicalType.parse("string"), "text") for name in ("k", "b", "c"))
    metadata = TableMetadata(TableName("app", "t"), columns, ("k",))
    ids = {scalar(metadata, CHANGES, row, 0, unique=True) for row in rows}
    assert len(ids) == 2


THING = TableMetadata(
    TableName("app", "t"),
    (
        ColumnMetadata("id", LogicalType.parse("int32"), "integer"),
        ColumnMetadata("note", LogicalType.parse("string"), "text"),
        ColumnMetadata("cost", LogicalType.parse("decimal(10,2)"), "numeric"),
    ),
    ("id",),
)
Arguments = dict[str, Any]
BASE: Arguments = {
    "metadata": THING,
    "origin": CHANGES,
    "unique_positions": True,
    "op": "U",
    "content": (7, "x", Decimal("1.50")),
    "commit_at": AT,
    "position": "p",
    "file_row": 3,
}


def base_id(change: Callable[[Arguments], None] | None = None, **changes: Any) -> bytes:
    arguments = {**BASE, **changes}
    return change_id(arguments.pop("metadata"), arguments.pop("origin"), **arguments)


def test_the_bytes_are_the_same_for_ever() -> None:
    """A change of these digests would make every redelivered change a new one: it needs a migration."""
    assert base_id().hex() == "137c3982dc5363e3df81c540c0bb907d"
    assert base_id(unique_positions=False).hex() == "1d6cfe2ba1c832a1482b2c522e4461bd"
    assert base_id(origin=LOAD).hex() == "d0d62d3b2acd28bf3c0616a262945f0c"
    assert base_id(metadata=replace(THING, key=())).hex() == "546377154cd43527c9c8d25807973de0"


DIFFERENT: list[tuple[str, dict[str, Any]]] = [
    ("CT", {"origin": Origin(FILE, 2, None)}),
    ("CTL", {"content": (8, "x", Decimal("1.50"))}),
    ("C", {"content": (7, "", Decimal("1.50"))}),
    ("C", {"content": (7, None, Decimal("1.50"))}),
    ("C", {"op": "I"}),
    ("CT", {"position": "q"}),
    ("CT", {"commit_at": AT + timedelta(microseconds=1)}),
    ("K", {"file_row": 4}),
]


@pytest.mark.parametrize(("kinds", "changes"), DIFFERENT)
def test_what_is_part_of_which_identity(kinds: str, changes: dict[str, Any]) -> None:
    forms: dict[str, dict[str, Any]] = {
        "C": {},
        "T": {"unique_positions": False},
        "L": {"origin": LOAD},
        "K": {"metadata": replace(THING, key=())},
    }
    for kind, form in forms.items():
        if kind == "L" and "origin" in changes:
            continue
        assert (base_id(**{**form, **changes}) != base_id(**form)) == (kind in kinds), kind


def test_a_file_delivered_again_has_other_rows_only_without_a_key() -> None:
    again = replace(CHANGES, file=replace(FILE, last_modified="2026-01-01T00:00:01.000000+00:00"))
    assert base_id(origin=again) == base_id()
    keyless = replace(THING, key=())
    assert base_id(metadata=keyless, origin=again) != base_id(metadata=keyless)


def test_a_later_schema_leaves_identities_as_they_are() -> None:
    note, cost = THING.columns[1], THING.columns[2]
    wider = (
        replace(cost, type=LogicalType.parse("decimal(20,4)")),
        replace(THING.columns[0], type=LogicalType.parse("int64")),
        ColumnMetadata("added", LogicalType.parse("string"), "text"),
        note,
    )
    content = (Decimal("1.5000"), 7, None, "x")
    assert base_id(metadata=replace(THING, columns=wider), content=content) == base_id()


def test_the_zone_of_a_time_is_not_part_of_it() -> None:
    assert base_id(commit_at=AT.astimezone(timezone(timedelta(hours=5, minutes=30)))) == base_id()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int32", True),
        ("int32", "1"),
        ("boolean", 1),
        ("string", b"a"),
        ("decimal(4,2)", Decimal("NaN")),
        ("float64", 1),
        ("timestamp", AT),
        ("timestamptz", datetime(2026, 1, 1)),  # noqa: DTZ001
        ("date", AT),
        ("time", time(1, 2, 3, 4)),
        ("binary", date(2026, 1, 1)),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, value: object) -> None:
    with pytest.raises(TypeError, match="is not a value of type"):
        encode(value, LogicalType.parse(kind))


def test_a_column_of_another_type_is_refused() -> None:
    table = arrow(THING, [(1, "a", Decimal(1))])
    table = table.set_column(0, "id", table.column("id").cast(pa.int64()))
    with pytest.raises(TypeError, match="column 'id' is int64, not int32"):
        change_ids(table, THING, CHANGES, unique_positions=True)


def test_unique_positions_must_be_there() -> None:
    table = arrow(THING, [(1, "a", Decimal(1))], positions=[None])
    with pytest.raises(PositionMissingError, match="without a stream position"):
        change_ids(table, THING, CHANGES, unique_positions=True)
    with pytest.raises(PositionMissingError, match="without a stream position"):
        base_id(position=None)
    assert len(change_ids(table, THING, CHANGES, unique_positions=False)) == 1
    assert len(change_ids(table, THING, LOAD, unique_positions=True)) == 1


def test_no_rows_give_no_identities() -> None:
    assert len(change_ids(arrow(THING, []), THING, CHANGES, unique_positions=True)) == 0


def test_times_that_python_cannot_hold_have_identities_too() -> None:
    columns = (ColumnMetadata("id", LogicalType.parse("timestamp"), "timestamp"),)
    metadata = TableMetadata(TableName("app", "t"), columns, ("id",))
    far = pa.array([2**62, -(2**62)], pa.int64()).cast(pa.timestamp("us"))
    table = arrow(metadata, [(None,), (None,)]).set_column(0, "id", far)
    assert len(set(change_ids(table, metadata, CHANGES, unique_positions=True).to_pylist())) == 2
