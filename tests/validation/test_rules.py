"""The fast pass and Pandera say the same of every row, and both say what a plain reading of the metadata says."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandera.polars as pandera
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dms_assets.model.change_columns import LandingColumns
from dms_assets.model.column_check import ColumnCheck
from dms_assets.model.landed_file import FileKind
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.validation.change_rules import (
    INSTANT,
    PREVIOUS_SEQ,
    PREVIOUS_TIMESTAMP,
    clock_steps_back,
    prepared,
    steps_back,
)
from dms_assets.validation.declared import declaration_faults, declared_rules
from dms_assets.validation.landed_types import landed_schema
from dms_assets.validation.rule import Rule, count_failures, polars_type
from dms_assets.validation.rules import table_rules
from dms_assets.validation.schema import explain_failures, pandera_schema


def column(name: str, kind: str, **facts: Any) -> ColumnMetadata:
    return ColumnMetadata(name, LogicalType.parse(kind), kind, **facts)


TABLE = TableMetadata(
    TableName("app", "t"),
    (
        column("k1", "int32", nullable=False),
        column("k2", "string", nullable=False, length=4),
        column("text", "string", length=3),
        column("must", "float64", nullable=False),
        column("sort", "string", enum=("A", "Ä", "long word")),
        column("raw", "binary", length=2),
        column("money", "decimal(10,2)", nullable=False),
        column("flag", "boolean", nullable=False),
        column("born", "date"),
        column("at", "timestamptz"),
        column("local", "timestamp"),
        column("small", "int16"),
        column("huge", "decimal(38,0)"),
    ),
    ("k1", "k2"),
)
CHECKS = (
    ColumnCheck(column="text", matches="[a-c]*|ä+"),
    ColumnCheck(column="money", ge=-1, le=10.5),
    ColumnCheck(column="must", le=2),
    ColumnCheck(column="k1", isin=(1, 2, 3, 4)),
    ColumnCheck(column="text", min_length=1, max_length=4),
    ColumnCheck(column="raw", min_length=1, not_null=True),
    ColumnCheck(column="born", ge=date(1900, 1, 1), lt=date(2026, 1, 1)),
    ColumnCheck(column="at", gt=datetime(2020, 1, 1, 12, tzinfo=UTC), le=date(2030, 1, 1)),
    ColumnCheck(column="local", ge=date(2020, 1, 1)),
    ColumnCheck(column="small", gt=-1.5, lt=2.5),
    ColumnCheck(column="huge", ge=0),
)
COLUMNS = LandingColumns()
SEQ = "2026010100000000" + "0" * 19


def local(*parts: int) -> datetime:
    """An instant of a column without a zone."""
    return datetime(*parts)  # type: ignore[misc,arg-type]  # noqa: DTZ001


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


ROW = st.fixed_dictionaries(
    {
        "Op": maybe(st.sampled_from(["I", "U", "D", "L", "i", ""])),
        "dms_timestamp": maybe(
            st.sampled_from(
                [
                    "2026-01-01 00:00:00.000000",
                    "2026-02-30 00:00:00.000000",
                    "2026-11-23 00:00:00.000000",
                    "2026-11-23 00:00:00.000001",
                    "2026-01-01",
                    "",
                    "x",
                ]
            )
        ),
        "dms_change_seq": maybe(
            st.sampled_from([SEQ, SEQ[:-1] + "1", SEQ[:-1] + "2", SEQ[1:], SEQ + "1", "", "x" * 35])
        ),
        "dms_stream_position": maybe(st.sampled_from(["", "p"])),
        "k1": maybe(st.integers(0, 6)),
        "k2": maybe(st.sampled_from(["", "a", "äöüß", "abcde"])),
        "text": maybe(st.sampled_from(["", "abc", "ä", "äää", "ääää", "abd", "a\nb"])),
        "must": maybe(st.sampled_from([0.0, 2.0, 2.1, float("nan"), float("inf"), float("-inf")])),
        "sort": maybe(st.sampled_from(["A", "Ä", "B", "long word", ""])),
        "raw": maybe(st.sampled_from([b"", b"ab", b"abc"])),
        "money": maybe(st.sampled_from([Decimal("-1.00"), Decimal("-1.01"), Decimal("10.50"), Decimal("10.51")])),
        "flag": maybe(st.booleans()),
        "born": maybe(st.sampled_from([date(1899, 12, 31), date(1900, 1, 1), date(2025, 12, 31), date(2026, 1, 1)])),
        "at": maybe(
            st.sampled_from(
                [
                    datetime(2020, 1, 1, 12, tzinfo=UTC),
                    datetime(2020, 1, 1, 12, 0, 0, 1, tzinfo=UTC),
                    datetime(2030, 1, 1, tzinfo=UTC),
                    datetime(2030, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
                ]
            )
        ),
        "local": maybe(st.sampled_from([local(2019, 12, 31, 23), local(2020, 1, 1)])),
        "small": maybe(st.sampled_from([-2, -1, 2, 3])),
        "huge": maybe(st.sampled_from([Decimal(-1), Decimal(0), Decimal(10**38 - 1)])),
    }
)


def frame_of(rows: list[dict[str, Any]], kind: FileKind) -> tuple[pl.DataFrame, dict[str, pl.DataType]]:
    expected = landed_schema(TABLE, COLUMNS, kind).all
    types = {name: polars_type(logical) for name, logical in expected.items()}
    frame = pl.DataFrame(rows, schema=types, orient="row")
    return prepared(frame, COLUMNS, ("", "")), types


def rules_of(kind: FileKind, *, unique: bool, ordered: bool = True) -> list[Rule]:
    written_at = datetime(2026, 11, 22, tzinfo=UTC)
    return table_rules(
        TABLE, CHECKS, COLUMNS, kind, has_op=True, unique_positions=unique, ordered=ordered, written_at=written_at
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=12), st.sampled_from(FileKind), st.booleans())
def test_pandera_and_the_fast_pass_agree(rows: list[dict[str, Any]], kind: FileKind, unique: bool) -> None:
    frame, types = frame_of(rows, kind)
    rules = rules_of(kind, unique=unique)
    op = COLUMNS.op if kind is FileKind.CDC else None
    found = explain_failures(frame, rules, types, op)
    fast = {index: frame.select(rule.failing.arg_true()).to_series().to_list() for index, rule in enumerate(rules)}
    assert {index: rows for index, rows in fast.items() if rows} == found
    assert count_failures(frame, rules) == [len(found.get(index, [])) for index in range(len(rules))]


GOOD: dict[str, Any] = {
    "Op": "U", "dms_timestamp": "2026-01-01 00:00:00.000000", "dms_change_seq": SEQ, "dms_stream_position": "p",
    "k1": 1, "k2": "a", "text": "abc", "must": 1.0, "sort": "Ä", "raw": b"ab", "money": Decimal(1), "flag": True,
    "born": date(2000, 1, 1), "at": datetime(2025, 1, 1, tzinfo=UTC), "local": local(2025, 1, 1), "small": 0,
    "huge": Decimal(1),
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, []),
        ({"k1": None}, ["key k1"]),
        ({"k2": None}, ["key k2"]),
        ({"k2": "abcde"}, ["length k2"]),
        ({"text": "äää"}, []),
        ({"text": "cccc"}, ["length text"]),
        ({"text": "abd"}, ["declared text"]),
        ({"text": ""}, ["declared text"]),
        ({"text": "abc\n"}, ["length text", "declared text"]),
        ({"text": None, "sort": None, "born": None, "at": None, "small": None}, []),
        ({"raw": None}, ["declared raw"]),
        ({"raw": b""}, ["declared raw"]),
        ({"must": None}, ["nullability must"]),
        ({"must": float("nan")}, ["declared must"]),
        ({"must": float("-inf")}, []),
        ({"sort": "B"}, ["domain sort"]),
        ({"raw": b"abc"}, ["length raw"]),
        ({"money": Decimal("10.51")}, ["declared money"]),
        ({"flag": None}, ["nullability flag"]),
        ({"k1": 9}, ["declared k1"]),
        ({"born": date(2026, 1, 1)}, ["declared born"]),
        ({"at": datetime(2020, 1, 1, 12, tzinfo=UTC)}, ["declared at"]),
        ({"local": local(2019, 12, 31, 23, 59)}, ["declared local"]),
        ({"small": -2}, ["declared small"]),
        ({"small": 3}, ["declared small"]),
        ({"huge": Decimal(-1)}, ["declared huge"]),
        ({"Op": "L"}, ["op Op"]),
        ({"dms_timestamp": "2026-11-23 00:00:00.000001"}, ["sequence dms_timestamp"]),
        ({"dms_timestamp": "2026-11-23 00:00:00.000000"}, []),
        ({"dms_stream_position": ""}, ["sequence dms_stream_position"]),
        ({"dms_change_seq": ""}, ["sequence dms_change_seq", "order dms_change_seq"]),
        ({"dms_timestamp": "2026-01-01 00:00:00"}, ["sequence dms_timestamp"]),
        ({"Op": "D", "text": "abd", "must": None, "flag": None, "money": None, "k1": 9, "sort": "B"}, []),
        ({"Op": "D", "k1": None}, ["key k1"]),
        ({"Op": "D", "k2": "abcde"}, ["length k2"]),
        ({"Op": "D", "raw": b"abc", "born": date(2026, 1, 1), "huge": Decimal(-1)}, []),
    ],
)
def test_what_each_rule_says(change: dict[str, Any], broken: list[str]) -> None:
    frame, _ = frame_of([{**GOOD, **change}], FileKind.CDC)
    rules = rules_of(FileKind.CDC, unique=True)
    counts = count_failures(frame, rules)
    assert [f"{rule.group} {rule.column}" for rule, count in zip(rules, counts, strict=True) if count] == broken


def test_panderas_default_depth_would_pass_bad_data() -> None:
    """The trap that the depth set in code avoids; if it is gone, the setting may go too."""
    frame, types = frame_of([{**GOOD, "k1": 9, "text": "cccc"}], FileKind.CDC)
    rules = rules_of(FileKind.CDC, unique=True)
    schema = pandera_schema(rules, types)
    assert schema.validate(frame.lazy(), lazy=True).collect().height == 1
    assert explain_failures(frame, rules, types, COLUMNS.op)
    with pytest.raises(pandera.errors.SchemaErrors):
        schema.validate(frame, lazy=True)


@pytest.mark.parametrize("value", [10**10, -(10**10), 10**17])
def test_a_number_of_more_digits_than_its_column_has_is_named(value: int) -> None:
    """Arrow holds what a file says in 128 bits, whatever the precision."""
    frame, types = frame_of([GOOD, GOOD], FileKind.CDC)
    wide = pa.array([1, value], pa.int64()).cast(pa.decimal128(19, 0))
    buffers = wide.cast(pa.decimal128(38, 0)).buffers()
    money = pl.Series("money", pa.Array.from_buffers(pa.decimal128(10, 2), 2, buffers))
    rules = rules_of(FileKind.CDC, unique=True, ordered=False)
    found = explain_failures(frame.with_columns(money), rules, types, COLUMNS.op)
    assert {f"{rules[index].group} {rules[index].column}": rows for index, rows in found.items()}[
        "precision money"
    ] == [1]
    assert count_failures(frame.with_columns(money), rules) == [
        len(found.get(index, [])) for index in range(len(rules))
    ]


def test_the_largest_number_of_38_digits_is_fine_and_the_next_is_not() -> None:
    frame, types = frame_of([GOOD, GOOD], FileKind.CDC)
    body = b"".join((10**38 - less).to_bytes(16, "little") for less in (1, 0))
    huge = pl.Series("huge", pa.Array.from_buffers(pa.decimal128(38, 0), 2, [None, pa.py_buffer(body)]))
    rules = rules_of(FileKind.CDC, unique=True, ordered=False)
    found = explain_failures(frame.with_columns(huge), rules, types, COLUMNS.op)
    assert {f"{rules[index].group} {rules[index].column}": rows for index, rows in found.items()} == {
        "precision huge": [1]
    }


def test_order_is_judged_over_the_bounds_of_batches_and_only_where_it_is_promised() -> None:
    rows = [{**GOOD, "dms_change_seq": SEQ[:-1] + digit} for digit in "2313"]
    frame = frame_of(rows, FileKind.CDC)[0].drop(PREVIOUS_SEQ, PREVIOUS_TIMESTAMP, INSTANT)
    after = prepared(frame, COLUMNS, (SEQ[:-1] + "2", ""))
    counted = {
        ordered: sum(count_failures(after, rules_of(FileKind.CDC, unique=True, ordered=ordered)))
        for ordered in (True, False)
    }
    assert counted == {True: 2, False: 0}
    assert steps_back(after, COLUMNS) == 2


def test_a_commit_clock_that_goes_back_is_measured() -> None:
    stamps = ["2026-01-01 00:00:01.000000", "2026-01-01 00:00:00.250000", "2026-01-01 00:00:00.250000"]
    frame, _ = frame_of([{**GOOD, "dms_timestamp": stamp} for stamp in stamps], FileKind.CDC)
    assert clock_steps_back(frame, COLUMNS) == (1, 0.75)
    assert clock_steps_back(frame.tail(1), COLUMNS) == (0, 0.0)


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (ColumnCheck(column="nmae", isin=("a",)), "no column 'nmae' to check; correct the name, known are: k1, k2"),
        (ColumnCheck(column="text", ge=1), "string, no number; use isin"),
        (ColumnCheck(column="born", ge=1), "date, no number; compare with a date"),
        (ColumnCheck(column="small", ge=date(2026, 1, 1)), "int16, no date or time; compare with a number"),
        (ColumnCheck(column="born", ge=local(2026, 1, 1, 12)), "leave out the time of day"),
        (ColumnCheck(column="k1", matches="x"), "int32, no text; use"),
        (ColumnCheck(column="k1", max_length=3), "has no length; use"),
        (ColumnCheck(column="k1", isin=("a", "b")), "not all values of type int32; correct"),
        (ColumnCheck(column="text", matches="(?<=a)b"), "is not a pattern"),
        (ColumnCheck(column="at", isin=("2026-01-01",)), "have no list of values; use"),
    ],
)
def test_a_check_that_does_not_fit_its_column_is_told_with_a_remedy(check: ColumnCheck, told: str) -> None:
    faults = list(declaration_faults(TABLE, (*CHECKS, check)))
    assert [index for index, _ in faults] == [len(CHECKS)]
    assert told in faults[0][1]
    assert "; " in faults[0][1]


def test_declared_checks_keep_their_meaning_on_the_way_to_the_worker() -> None:
    again = [ColumnCheck.model_validate(check.model_dump(mode="json")) for check in CHECKS]
    rules = [[(r.kind, str(r.argument), r.expected) for r in declared_rules(TABLE, check)] for check in CHECKS]
    assert [[(r.kind, str(r.argument), r.expected) for r in declared_rules(TABLE, check)] for check in again] == rules


@pytest.mark.parametrize("name", ["*", "^k1$", "^.*$", "row".ljust(63, "_"), "__row__"])
def test_a_column_that_is_called_like_a_pattern_is_judged_by_its_own_values(name: str) -> None:
    """Polars and Pandera read such names as patterns, and would look at `k1` or at every column."""
    table = TableMetadata(
        TableName("app", "t"),
        (column("k1", "int32", nullable=False), column(name, "string", nullable=False, length=3, enum=("a", "long"))),
        ("k1",),
    )
    values = {"k1": pa.array([1, 2, 3, 4], pa.int32()), name: ["a", None, "long", "b"]}
    landed = pa.table({**values, "dms_timestamp": ["2026-01-01 00:00:00.000000"] * 4, "dms_change_seq": [""] * 4})
    types = {item.name: polars_type(item.type) for item in table.columns}
    rules = [
        rule
        for rule in table_rules(
            table,
            (ColumnCheck(column=name, matches="a|b"),),
            COLUMNS,
            FileKind.LOAD,
            has_op=False,
            unique_positions=True,
            ordered=False,
            written_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        if rule.column in types
    ]
    frame = prepared(pl.DataFrame(landed), COLUMNS, ("", ""))
    found = explain_failures(frame, rules, types, None)
    assert {f"{rules[index].kind} {rules[index].column}": rows for index, rows in found.items()} == {
        f"not_null {name}": [1],
        f"max_length {name}": [2],
        f"isin {name}": [3],
        f"matches {name}": [2],
    }
    assert count_failures(frame, rules) == [len(found.get(index, [])) for index in range(len(rules))]
