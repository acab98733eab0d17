"""Files that look strange and are right: whoever rejects these holds a table for nothing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.corpus.making import HostileFile, column, good, text, written
from tests.lake.world import cdc_table, parquet, rows


def _rows(**values: Any) -> bytes:
    count = len(next(iter(values.values())))
    return parquet(cdc_table(rows(count, **values)))


def _deletes(**values: object) -> bytes:
    nothing = {name: pa.nulls(3, array.type) for name, array in rows(1).items() if name != "id"}
    return parquet(cdc_table({**rows(3), **nothing, **values}, op="D"))


def _reordered() -> bytes:
    table = good()
    return parquet(table.select(list(reversed(table.column_names))))


_BUILDS: dict[str, Callable[[], bytes]] = {
    "no_rows": lambda: parquet(good().slice(0, 0)),
    "no_row_groups": lambda: written(good().schema.empty_table()),
    "one_row": lambda: parquet(good(1)),
    "a_row_group_for_each_row": lambda: written(good(), row_group_size=1),
    "twenty_thousand_row_groups": lambda: written(good(20_000), row_group_size=1),
    "pages_of_one_row": lambda: written(good(), data_page_size=1, write_batch_size=1),
    "columns_in_another_order": _reordered,
    "gzip": lambda: written(good(), compression="gzip"),
    "snappy": lambda: written(good(), compression="snappy"),
    "brotli": lambda: written(good(), compression="brotli"),
    "lz4": lambda: written(good(), compression="lz4"),
    "zstd": lambda: written(good(), compression="zstd"),
    "no_dictionaries": lambda: written(good(), use_dictionary=False),
    "second_page_version": lambda: written(good(), data_page_version="2.0"),
    "first_format": lambda: written(good(), version="1.0"),
    "delta_encodings": lambda: written(
        good(),
        use_dictionary=False,
        column_encoding={"id": "DELTA_BINARY_PACKED", "name": "DELTA_BYTE_ARRAY", "seen_at": "DELTA_BINARY_PACKED"},
    ),
    "checksums": lambda: written(good(), write_page_checksum=True),
    "page_index": lambda: written(good(), write_page_index=True),
    "no_statistics": lambda: written(good(), write_statistics=False),
    "arrow_hints": lambda: written(good(), store_schema=True),
    "large_types_in_the_hints": lambda: written(
        good().set_column(3, "name", good().column("name").cast(pa.large_string())), store_schema=True
    ),
    "a_megabyte_of_other_metadata": lambda: written(
        good().replace_schema_metadata({"pandas": "x" * 1_000_000, "exec": "__import__('os')"}), store_schema=True
    ),
    "decimals_as_integers": lambda: written(good(), store_decimal_as_integer=True),
    "instants_without_zone": column("seen_at", pa.array([1, 2, 3], pa.timestamp("us"))),
    "nulls_where_allowed": lambda: _rows(
        name=pa.nulls(3, pa.string()),
        amount=pa.nulls(3, pa.decimal128(10, 2)),
        seen_at=pa.nulls(3, pa.timestamp("us")),
    ),
    "deletes_with_keys_only": _deletes,
    "deletes_with_values_that_break_rules": lambda: _deletes(
        name=text(*["far too long for it"] * 3), status=text("GONE", "", "x")
    ),
    "extreme_numbers": lambda: _rows(
        id=pa.array([-(2**31), 0, 2**31 - 1], pa.int32()),
        amount=pa.array([Decimal(0), Decimal("99999999.99"), Decimal("0.01")], pa.decimal128(10, 2)),
    ),
    "extreme_instants": lambda: _rows(
        seen_at=pa.array([-(2**62), 0, 2**62], pa.timestamp("us", tz="UTC")),
    ),
    "texts_that_hurt": lambda: _rows(
        name=text("", "'; drop --", "\0", "ä" * 10, "😀" * 10, "e\u0301", "\u202eabc", "NULL", " ", "\r\n\t")
    ),
    "the_same_key_often": lambda: _rows(id=pa.array([7] * 20, pa.int32())),
    "clock_that_goes_back": column(
        "dms_timestamp",
        text("2026-01-01 00:00:02.000000", "2026-01-01 00:00:01.000000", "2026-01-01 00:00:03.000000"),
    ),
    "times_of_another_age": column("dms_timestamp", text(*["0001-01-01 00:00:00.000000"] * 3)),
}

STRANGE_BUT_RIGHT = {name: HostileFile(build, None) for name, build in _BUILDS.items()}
