"""The fast pass and Pandera say the same of every row, and both say what a plain reading of the metadata says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandera.polars as pandera
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dms_assets.model.change_columns import LandingColumns
from dms_assets.model.landed_file import FileKind
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import ColumnCheck
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.validation.landed_types import landed_schema
from dms_assets.validation.rules import Rule, count_failures, polars_type, table_rules
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
    ),
    ("k1", "k2"),
)
CHECKS = (
    ColumnCheck(column="text", matches="[a-c]*|ä+"),
    ColumnCheck(column="money", ge=-1, le=10.5),
    ColumnCheck(column="must", le=2),
    ColumnCheck(column="k1", isin=(1, 2, 3, 4)),
)
COLUMNS = LandingColumns()
SEQ = "2026010100000000" + "0" * 19


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


ROW = st.fixed_dictionaries(
    {
        "Op": maybe(st.sampled_from(["I", "U", "D", "L", "i", ""])),
        "dms_timestamp": maybe(
            st.sampled_from(["2026-01-01 00:00:00.000000", "2026-02-30 00:00:00.000000", "2026-01-01", "", "x"])
        ),
        "dms_change_seq": maybe(st.sampled_from([SEQ, SEQ[1:], SEQ + "1", "", "x" * 35])),
        "dms_stream_position": maybe(st.sampled_from(["", "p"])),
        "k1": maybe(st.integers(0, 6)),
        "k2": maybe(st.sampled_from(["", "a", "äöüß", "abcde"])),
        "text": maybe(st.sampled_from(["", "abc", "ä", "äää", "ääää", "abd", "a\nb"])),
        "must": maybe(st.sampled_from([0.0, 2.0, 2.1, float("nan"), float("inf"), float("-inf")])),
        "sort": maybe(st.sampled_from(["A", "Ä", "B", "long word", ""])),
        "raw": maybe(st.sampled_from([b"", b"ab", b"abc"])),
        "money": maybe(st.sampled_from([Decimal("-1.00"), Decimal("-1.01"), Decimal("10.50"), Decimal("10.51")])),
        "flag": maybe(st.booleans()),
    }
)


def frame_of(rows: list[dict[str, Any]], kind: FileKind) -> tuple[pl.DataFrame, dict[str, pl.DataType]]:
    expected = landed_schema(TABLE, COLUMNS, kind).all
    types = {name: polars_type(logical) for name, logical in expected.items()}
    return pl.DataFrame(rows, schema=types, orient="row"), types


def rules_of(kind: FileKind, *, unique: bool) -> list[Rule]:
    return table_rules(TABLE, CHECKS, COLUMNS, kind, has_op=True, unique_positions=unique)


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
        ({"text": "abd"}, ["domain text"]),
        ({"text": None, "sort": None, "raw": None}, []),
        ({"must": None}, ["nullability must"]),
        ({"must": float("nan")}, ["domain must"]),
        ({"must": float("-inf")}, []),
        ({"sort": "B"}, ["domain sort"]),
        ({"raw": b"abc"}, ["length raw"]),
        ({"money": Decimal("10.51")}, ["domain money"]),
        ({"flag": None}, ["nullability flag"]),
        ({"k1": 9}, ["domain k1"]),
        ({"Op": "L"}, ["op Op"]),
        ({"dms_stream_position": ""}, ["sequence dms_stream_position"]),
        ({"dms_change_seq": ""}, ["sequence dms_change_seq"]),
        ({"dms_timestamp": "2026-01-01 00:00:00"}, ["sequence dms_timestamp"]),
        ({"Op": "D", "text": "abd", "must": None, "flag": None, "money": None, "k1": 9, "sort": "B"}, []),
        ({"Op": "D", "k1": None}, ["key k1"]),
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
