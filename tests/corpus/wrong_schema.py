"""Files whose columns are not those of the metadata."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from dms_assets.validation.outcome import Reason
from tests.corpus.making import HostileFile, column, good, text, written
from tests.lake.world import parquet

_STAMPS = [1, 2, 3]


def _renamed(old: str, new: str) -> Callable[[], bytes]:
    def build() -> bytes:
        table = good()
        return parquet(table.rename_columns([new if name == old else name for name in table.column_names]))

    return build


def _without(name: str) -> Callable[[], bytes]:
    return lambda: parquet(good().drop_columns([name]))


def _more(name: str) -> Callable[[], bytes]:
    return lambda: parquet(good().append_column(name, text(*["x"] * 50)))


def _wide(count: int) -> bytes:
    table = good(1)
    names = [*table.column_names, *(f"c{number}" for number in range(count))]
    return parquet(pa.table([*table.columns, *[pa.array([1])] * count], names=names))


def _deep(levels: int) -> bytes:
    kind: pa.DataType = pa.int32()
    value: object = 1
    for _ in range(levels):
        kind, value = pa.struct([("a", kind)]), {"a": value}
    return column("id", pa.array([value] * 3, kind))()


WRONG_SCHEMA: dict[str, HostileFile] = {
    name: HostileFile(build, Reason.SCHEMA)
    for name, build in {
        "int64_for_int32": column("id", pa.array([1, 2, 3], pa.int64())),
        "int16_for_int32": column("id", pa.array([1, 2, 3], pa.int16())),
        "unsigned": column("id", pa.array([1, 2, 3], pa.uint32())),
        "float_for_int": column("id", pa.array([1, 2, 3], pa.float64())),
        "boolean_for_int": column("id", pa.array([True] * 3)),
        "date_for_int": column("id", pa.array([1, 2, 3], pa.date32())),
        "text_for_int": column("id", text("1", "2", "3")),
        "null_typed": column("id", pa.nulls(3)),
        "binary_for_text": column("name", pa.array([b"a"] * 3, pa.binary())),
        "fixed_bytes_for_text": column("name", pa.array([b"a"] * 3, pa.binary(1))),
        "float_for_decimal": column("amount", pa.array([1.0, 2.0, 3.0])),
        "text_for_decimal": column("amount", text("1", "2", "3")),
        "wider_decimal": column("amount", pa.array([1, 2, 3], pa.decimal128(11, 2))),
        "narrower_decimal": column("amount", pa.array([1, 2, 3], pa.decimal128(9, 2))),
        "other_scale": column("amount", pa.array([1, 2, 3], pa.decimal128(10, 3))),
        "decimal_of_256_bits": column("amount", pa.array([1, 2, 3], pa.decimal256(70, 2))),
        "milliseconds": column("seen_at", pa.array(_STAMPS, pa.timestamp("ms", tz="UTC"))),
        "nanoseconds": column("seen_at", pa.array(_STAMPS, pa.timestamp("ns"))),
        "text_for_time": column("seen_at", text(*["2026-01-01 00:00:00"] * 3)),
        "number_for_op": column("Op", pa.array([1, 2, 3])),
        "number_for_sequence": column("dms_change_seq", pa.array([1, 2, 3])),
        "instant_for_text": column("dms_timestamp", pa.array(_STAMPS, pa.timestamp("us"))),
        "nested": column("id", pa.array([{"a": 1}] * 3, pa.struct([("a", pa.int32())]))),
        "list": column("name", pa.array([["a"]] * 3, pa.list_(pa.string()))),
        "map": column("name", pa.array([[("a", "b")]] * 3, pa.map_(pa.string(), pa.string()))),
        "deep": lambda: _deep(60),
        "missing_column": _without("name"),
        "missing_key": _without("id"),
        "missing_op": _without("Op"),
        "missing_sequence": _without("dms_change_seq"),
        "missing_position": _without("dms_stream_position"),
        "missing_time": _without("dms_timestamp"),
        "extra_column": _more("password"),
        "column_named_as_the_platforms": _more("_batch"),
        "column_named_sql": _more('x"; drop table person; --'),
        "column_named_script": _more("<script>alert(1)</script>"),
        "column_without_a_name": _more(""),
        "column_with_a_dot": _more("name.name"),
        "column_of_a_long_name": _more("n" * 100_000),
        "column_of_control_characters": _more("na\0me\x1b[31m"),
        "look_alike": _renamed("name", "n\u0430me"),
        "renamed_case": _renamed("name", "Name"),
        "renamed_with_a_blank": _renamed("name", "name "),
        "column_twice": _renamed("status", "name"),
        "no_columns": lambda: parquet(pa.table({})),
        "only_op": lambda: parquet(good().select(["Op"])),
        "many_columns": lambda: _wide(3000),
        "hints_that_lie": lambda: written(
            good(3)
            .set_column(2, "id", pa.array([1, 2, 3], pa.int64()))
            .cast(good(3).schema.set(2, pa.field("id", pa.int64(), metadata={"PARQUET:field_id": "1"}))),
            store_schema=True,
        ),
    }.items()
}
