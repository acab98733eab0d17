"""Files of the right form with rows that break a rule; one rule each."""

from __future__ import annotations

import pyarrow as pa

from dms_assets.validation.outcome import Reason
from tests.corpus.making import HostileFile, column, good, text, written
from tests.lake.world import cdc_table, parquet, rows

_SEQ = "2026010100000000" + "0" * 18


def _digits_beyond_precision() -> bytes:
    """Twelve digits in a column that says it has ten: the type is right, the value is not."""
    wide = pa.array([1, 999_999_999_999, 3], pa.int64()).cast(pa.decimal128(19, 0)).cast(pa.decimal128(38, 0))
    return column("amount", pa.Array.from_buffers(pa.decimal128(10, 2), 3, wide.buffers()))()


def _one_bad_row_of_many() -> bytes:
    table = good(200_000)
    names = ["n"] * 199_999 + ["far too long"]
    return written(table.set_column(table.schema.get_field_index("name"), "name", text(*names)))


def _delete(**values: object) -> bytes:
    nothing = {name: pa.nulls(1, array.type) for name, array in rows(1).items()}
    return parquet(cdc_table({**nothing, **values}, op="D"))


def _times(value: str | None) -> pa.Array:
    return text(*[value] * 3)


_CASES: dict[Reason, dict[str, object]] = {
    Reason.OP: {
        "op_unknown": column("Op", text("I", "X", "I")),
        "op_lower_case": column("Op", text("I", "u", "I")),
        "op_null": column("Op", text("I", None, "I")),
        "op_empty": column("Op", text("I", "", "I")),
        "op_with_a_blank": column("Op", text("I", "U ", "I")),
        "op_load": column("Op", text("I", "L", "I")),
        "op_truncate": column("Op", text("I", "T", "I")),
    },
    Reason.SEQUENCE: {
        "sequence_short": column("dms_change_seq", text("1", "2", "3")),
        "sequence_empty": column("dms_change_seq", text("", "", "")),
        "sequence_null": column("dms_change_seq", text(_SEQ + "1", None, _SEQ + "2")),
        "sequence_other_digits": column("dms_change_seq", text(*["٣" * 35] * 3)),
        "sequence_with_a_line_break": column("dms_change_seq", text(_SEQ + "1", _SEQ + "2\n", _SEQ + "3")),
        "position_empty": column("dms_stream_position", text("a", "", "b")),
        "position_null": column("dms_stream_position", text("a", None, "b")),
        "time_null": column("dms_timestamp", _times(None)),
        "time_empty": column("dms_timestamp", _times("")),
        "time_other_form": column("dms_timestamp", _times("2026-01-01T00:00:00.000000")),
        "time_with_a_zone": column("dms_timestamp", _times("2026-01-01 00:00:00.000000+01")),
        "time_in_milliseconds": column("dms_timestamp", _times("2026-01-01 00:00:00.000")),
        "time_impossible": column("dms_timestamp", _times("2026-02-30 00:00:00.000000")),
        "time_of_leap_second": column("dms_timestamp", _times("2026-01-01 00:00:61.000000")),
        "time_in_the_far_future": column("dms_timestamp", _times("9999-12-31 23:59:59.999999")),
    },
    Reason.ORDER: {
        "sequence_goes_back": column("dms_change_seq", text(_SEQ + "3", _SEQ + "2", _SEQ + "4")),
        "sequence_twice": column("dms_change_seq", text(_SEQ + "3", _SEQ + "3", _SEQ + "4")),
    },
    Reason.KEY: {
        "null_key": column("id", pa.array([1, None, 3], pa.int32())),
        "null_key_of_a_delete": _delete,
    },
    Reason.NULLABILITY: {"null_where_not_allowed": column("status", text("OPEN", None, "OPEN"))},
    Reason.LENGTH: {
        "too_long": column("name", text("a", "b" * 11, "c")),
        "too_long_by_far": column("name", text("a", "b" * 1_000_000, "c")),
        "too_long_in_one_row_of_many": _one_bad_row_of_many,
    },
    Reason.PRECISION: {"digits_beyond_precision": _digits_beyond_precision},
    Reason.DOMAIN: {
        "not_in_enum": column("status", text("OPEN", "open", "OPEN")),
        "not_in_enum_but_for_a_blank": column("status", text("OPEN", "OPEN ", "OPEN")),
        "empty_for_enum": column("status", text("OPEN", "", "OPEN")),
    },
    Reason.DECLARED: {"declared_check": column("amount", pa.array([1, -1, 1], pa.decimal128(10, 2)))},
}
WRONG_ROWS: dict[str, HostileFile] = {
    name: HostileFile(build, reason)  # type: ignore[arg-type]
    for reason, files in _CASES.items()
    for name, build in files.items()
}
