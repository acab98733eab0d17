"""Files that must not get in: name -> (bytes, the reason expected). Built around the table of tests.lake.world."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dms_assets.validation.outcome import Reason
from tests.lake.world import cdc_table, parquet, rows

Case = tuple[bytes, Reason]


def _good(count: int = 50) -> pa.Table:
    return cdc_table(rows(count))


def _with(name: str, values: Any, count: int = 3) -> bytes:
    table = _good(count)
    return parquet(table.set_column(table.schema.get_field_index(name), name, values))


def _text(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


def _written(table: pa.Table, **options: Any) -> bytes:
    body = io.BytesIO()
    pq.write_table(table, body, store_schema=False, **options)
    return body.getvalue()


def _flipped_page() -> bytes:
    """A bit flip in a compressed page, far from the footer: the footer alone looks right."""
    body = bytearray(_written(_good(5000), compression="zstd", use_dictionary=False))
    metadata = pq.ParquetFile(io.BytesIO(bytes(body))).metadata
    column = metadata.row_group(0).column(3)
    for offset in range(40, 400, 7):
        body[column.data_page_offset + offset] ^= 0x55
    return bytes(body)


def _bad_utf8() -> bytes:
    table = _good(3)
    names = pa.array([b"ok", b"\xff\xfe\xfa", b"ok"], pa.binary())
    index = table.schema.get_field_index("name")
    return _written(table.set_column(index, "name", names.view(pa.string())))


def _truncated_pages() -> bytes:
    """The footer of a whole file behind half its pages."""
    body = parquet(_good(5000))
    size = struct.unpack("<I", body[-8:-4])[0] + 8
    return body[: (len(body) - size) // 2] + body[-size:]


def _dictionary_bomb() -> bytes:
    """A few kilobytes that become a hundred gigabytes: one long word, a hundred thousand times."""
    count = 100_000
    word = pa.array(["x" * 1_000_000])
    names = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), word)
    table = cdc_table(rows(count))
    table = table.set_column(table.schema.get_field_index("name"), "name", names)
    return _written(
        table, compression="zstd", use_dictionary=["name"], dictionary_pagesize_limit=1 << 30, row_group_size=count
    )


def _footer_claims_other_rows() -> bytes:
    """A footer in which 70 rows (140 as a zigzag varint) have become 71, everywhere."""
    whole = parquet(_good(70))
    size = struct.unpack("<I", whole[-8:-4])[0]
    footer = whole[-8 - size : -8]
    assert footer.count(b"\x8c\x01") >= 2
    return whole[: -8 - size] + footer.replace(b"\x8c\x01", b"\x8e\x01") + whole[-8:]


def _nested() -> bytes:
    column = pa.array([{"a": 1}] * 3, pa.struct([("a", pa.int32())]))
    return _with("id", column)


def _list() -> bytes:
    return _with("name", pa.array([["a"]] * 3, pa.list_(pa.string())))


def _renamed(old: str, new: str) -> bytes:
    table = _good()
    return parquet(table.rename_columns([new if name == old else name for name in table.column_names]))


def _many_columns() -> bytes:
    table = _good(1)
    for number in range(3000):
        table = table.append_column(f"c{number}", pa.array([number]))
    return parquet(table)


CASES: dict[str, Callable[[], Case]] = {
    "empty": lambda: (b"", Reason.UNREADABLE),
    "csv": lambda: (b"Op,id\nI,1\n", Reason.UNREADABLE),
    "magic_only": lambda: (b"PAR1PAR1", Reason.UNREADABLE),
    "wrong_magic": lambda: (b"PARX" + parquet(_good())[4:-4] + b"PARX", Reason.UNREADABLE),
    "encrypted_magic": lambda: (parquet(_good())[:-4] + b"PARE", Reason.UNREADABLE),
    "truncated_tail": lambda: (parquet(_good())[:-20], Reason.UNREADABLE),
    "truncated_head": lambda: (parquet(_good())[1000:], Reason.UNREADABLE),
    "truncated_pages": lambda: (_truncated_pages(), Reason.UNREADABLE),
    "footer_length_huge": lambda: (parquet(_good())[:-8] + b"\xff\xff\xff\x7fPAR1", Reason.UNREADABLE),
    "footer_length_zero": lambda: (parquet(_good())[:-8] + b"\0\0\0\0PAR1", Reason.UNREADABLE),
    "footer_noise": lambda: (b"PAR1" + bytes(range(256)) * 8 + struct.pack("<I", 2000) + b"PAR1", Reason.UNREADABLE),
    "footer_other_rows": lambda: (_footer_claims_other_rows(), Reason.UNREADABLE),
    "page_bit_flips": lambda: (_flipped_page(), Reason.UNREADABLE),
    "invalid_utf8": lambda: (_bad_utf8(), Reason.UNREADABLE),
    "dictionary_bomb": lambda: (_dictionary_bomb(), Reason.RESOURCE_LIMIT),
    "int64_for_int32": lambda: (_with("id", pa.array([1, 2, 3], pa.int64())), Reason.SCHEMA),
    "int16_for_int32": lambda: (_with("id", pa.array([1, 2, 3], pa.int16())), Reason.SCHEMA),
    "unsigned": lambda: (_with("id", pa.array([1, 2, 3], pa.uint32())), Reason.SCHEMA),
    "text_for_int": lambda: (_with("id", _text("1", "2", "3")), Reason.SCHEMA),
    "binary_for_text": lambda: (_with("name", pa.array([b"a"] * 3, pa.binary())), Reason.SCHEMA),
    "wider_decimal": lambda: (_with("amount", pa.array([1, 2, 3], pa.decimal128(11, 2))), Reason.SCHEMA),
    "other_scale": lambda: (_with("amount", pa.array([1, 2, 3], pa.decimal128(10, 3))), Reason.SCHEMA),
    "milliseconds": lambda: (_with("seen_at", pa.array([1, 2, 3], pa.timestamp("ms", tz="UTC"))), Reason.SCHEMA),
    "nanoseconds": lambda: (_with("seen_at", pa.array([1, 2, 3], pa.timestamp("ns"))), Reason.SCHEMA),
    "nested": lambda: (_nested(), Reason.SCHEMA),
    "list": lambda: (_list(), Reason.SCHEMA),
    "missing_column": lambda: (parquet(_good().drop_columns(["name"])), Reason.SCHEMA),
    "missing_op": lambda: (parquet(_good().drop_columns(["Op"])), Reason.SCHEMA),
    "missing_sequence": lambda: (parquet(_good().drop_columns(["dms_change_seq"])), Reason.SCHEMA),
    "extra_column": lambda: (parquet(_good().append_column("password", pa.array(["x"] * 50))), Reason.SCHEMA),
    "renamed_case": lambda: (_renamed("name", "Name"), Reason.SCHEMA),
    "column_twice": lambda: (_renamed("status", "name"), Reason.SCHEMA),
    "no_columns": lambda: (parquet(pa.table({})), Reason.SCHEMA),
    "only_op": lambda: (parquet(_good().select(["Op"])), Reason.SCHEMA),
    "many_columns": lambda: (_many_columns(), Reason.SCHEMA),
    "op_unknown": lambda: (_with("Op", _text("I", "X", "I")), Reason.OP),
    "op_lower_case": lambda: (_with("Op", _text("I", "u", "I")), Reason.OP),
    "op_null": lambda: (_with("Op", _text("I", None, "I")), Reason.OP),
    "op_load": lambda: (_with("Op", _text("I", "L", "I")), Reason.OP),
    "null_key": lambda: (_with("id", pa.array([1, None, 3], pa.int32())), Reason.KEY),
    "null_where_not_allowed": lambda: (_with("status", _text("OPEN", None, "OPEN")), Reason.NULLABILITY),
    "too_long": lambda: (_with("name", _text("a", "b" * 11, "c")), Reason.LENGTH),
    "not_in_enum": lambda: (_with("status", _text("OPEN", "open", "OPEN")), Reason.DOMAIN),
    "declared_check": lambda: (_with("amount", pa.array([1, -1, 1], pa.decimal128(10, 2))), Reason.DOMAIN),
    "sequence_short": lambda: (_with("dms_change_seq", _text("1", "2", "3")), Reason.SEQUENCE),
    "sequence_null": lambda: (_with("dms_change_seq", _text("0" * 35, None, "0" * 35)), Reason.SEQUENCE),
    "sequence_other_digits": lambda: (_with("dms_change_seq", _text(*["٣" * 35] * 3)), Reason.SEQUENCE),
    "position_empty": lambda: (_with("dms_stream_position", _text("a", "", "b")), Reason.SEQUENCE),
    "time_null": lambda: (_with("dms_timestamp", _text(None, None, None)), Reason.SEQUENCE),
    "time_other_form": lambda: (_with("dms_timestamp", _text(*["2026-01-01T00:00:00.000000"] * 3)), Reason.SEQUENCE),
    "time_impossible": lambda: (_with("dms_timestamp", _text(*["2026-02-30 00:00:00.000000"] * 3)), Reason.SEQUENCE),
}
