"""The columnar decoder as pure functions: numbers of any digits, messages cut anywhere, bad bytes."""

from __future__ import annotations

import struct
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dms_assets.local_dms.decode.cells import Cells, DecodeError, Notes, slab_of
from dms_assets.local_dms.decode.images import images
from dms_assets.local_dms.decode.messages import Clock, MessageReader
from dms_assets.local_dms.decode.numeric import decimal_array, numeric_text, rounded_decimal_array, text_array
from dms_assets.local_dms.decode.rows import record_columns
from dms_assets.local_dms.decode.stamps import positions, sequences, timestamps
from dms_assets.local_dms.decode.variable import bytes_array
from dms_assets.model.sequence import format_sequence

_WIDE = Context(prec=200)


def cells_of(values: list[bytes | None]) -> Cells:
    """Values as one column, with some bytes between them."""
    body, starts, lengths = b"\x01\x02", [], []
    for value in values:
        starts.append(len(body))
        lengths.append(-1 if value is None else len(value))
        body += (value or b"") + b"\x7f"
    slab, offsets = slab_of(pa.array([body], pa.binary()))
    return Cells(slab, np.array(starts, np.int64) + offsets[0], np.array(lengths, np.int32))


def wire_numeric(value: Decimal, scale: int) -> bytes:
    """The wire form that PostgreSQL sends for a finite number with a display scale."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)) + "0" * max(exponent, 0)
    places = max(-exponent, 0)
    whole, fraction = (text[:-places], text[-places:].zfill(places)) if places else (text, "")
    whole = whole.zfill(-(-max(len(whole), 1) // 4) * 4)
    fraction = fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    groups = [int((whole + fraction)[at : at + 4]) for at in range(0, len(whole) + len(fraction), 4)]
    weight = len(whole) // 4 - 1
    while groups and groups[0] == 0:
        groups, weight = groups[1:], weight - 1
    while groups and groups[-1] == 0:
        groups = groups[:-1]
    if not groups:
        sign, weight = 0, 0
    return struct.pack(f">hhHh{len(groups)}h", len(groups), weight, 0x4000 if sign else 0, scale, *groups)


@st.composite
def declared(draw: st.DrawFn) -> tuple[int, int, list[Decimal | None]]:
    precision = draw(st.integers(1, 38))
    scale = draw(st.integers(0, precision))
    unscaled = st.integers(-(10**precision) + 1, 10**precision - 1)
    values = draw(st.lists(st.none() | unscaled, min_size=1, max_size=8))
    return precision, scale, [None if v is None else Decimal(v).scaleb(-scale, _WIDE) for v in values]


@given(declared())
@settings(max_examples=200, deadline=None)
def test_decimals_are_exact(case: tuple[int, int, list[Decimal | None]]) -> None:
    precision, scale, values = case
    cells = cells_of([None if v is None else wire_numeric(v, scale) for v in values])
    array = decimal_array(cells, precision, scale, Notes())
    assert array.type == pa.decimal128(precision, scale)
    assert array.to_pylist() == values
    array.validate(full=True)


@given(st.lists(st.tuples(st.integers(-(10**45), 10**45), st.integers(0, 50)), min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_numbers_as_text_keep_every_digit(cases: list[tuple[int, int]]) -> None:
    with_context = [Decimal(n).scaleb(-scale, _WIDE) for n, scale in cases]
    cells = cells_of([wire_numeric(v, scale) for v, (_, scale) in zip(with_context, cases, strict=True)])
    expected = [f"{v:.{scale}f}" if v else f"{0:.{scale}f}" for v, (_, scale) in zip(with_context, cases, strict=True)]
    assert text_array(cells).to_pylist() == expected
    assert [numeric_text(cells.value(row)) for row in range(len(cases))] == expected


def test_numbers_that_are_none() -> None:
    special = [struct.pack(">hhHh", 0, 0, sign, 0) for sign in (0xC000, 0xD000, 0xF000)]
    notes = Notes()
    assert decimal_array(cells_of([*special, None]), 10, 2, notes).to_pylist() == [None] * 4
    assert notes.counts == {"NaN or infinite number as null": 3}
    assert text_array(cells_of([*special, None])).to_pylist() == ["NaN", "Infinity", "-Infinity", None]


def test_unbounded_numbers_are_rounded_as_dms_does() -> None:
    notes = Notes()
    values = [Decimal("0.611111104488373"), Decimal("-1.0000005"), Decimal(10) ** 22, Decimal("1.5")]
    cells = cells_of([wire_numeric(v, max(-v.as_tuple().exponent, 0)) for v in values])  # type: ignore[operator]
    expected = [Decimal("0.611111"), Decimal("-1.000001"), None, Decimal("1.500000")]
    assert rounded_decimal_array(cells, 28, 6, notes).to_pylist() == expected
    assert notes.counts == {"rounded number": 2, "number too large as null": 1}


@given(st.lists(st.none() | st.text(max_size=30), min_size=1, max_size=20))
@settings(deadline=None)
def test_texts_of_any_length(values: list[str | None]) -> None:
    array = bytes_array(cells_of([None if v is None else v.encode() for v in values]), text=True)
    assert array.to_pylist() == values
    array.validate(full=True)


@given(
    st.lists(
        st.tuples(st.integers(0, 4_102_444_800_00), st.integers(0, 10**19 - 1 >> 1), st.integers(0, 2**63 - 1)),
        min_size=1,
        max_size=10,
    )
)
@settings(deadline=None)
def test_stamps_follow_the_model(rows: list[tuple[int, int, int]]) -> None:
    ticks, counters, lsns = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    assert sequences(ticks, counters).to_pylist() == [format_sequence(tick, n) for tick, n, _ in rows]
    ordinals = np.arange(len(rows))
    assert positions(lsns, ordinals).to_pylist() == [f"{lsn:016X}.{n:010d}" for n, (_, _, lsn) in enumerate(rows)]


def test_timestamps_have_all_six_digits() -> None:
    assert timestamps(np.array([0, 1_700_000_000_000_000])).to_pylist() == [
        "1970-01-01 00:00:00.000000",
        "2023-11-14 22:13:20.000000",
    ]


RELATION = b"R" + struct.pack(">I", 7) + b"app\0t\0d" + struct.pack(">h", 2)
RELATION += b"\1id\0" + struct.pack(">Ii", 23, -1) + b"\0n\0" + struct.pack(">Ii", 23, -1)


def _row(*values: int | None) -> bytes:
    cells = (b"n" if v is None else b"b" + struct.pack(">ii", 4, v) for v in values)
    return struct.pack(">h", len(values)) + b"".join(cells)


@st.composite
def transactions(draw: st.DrawFn) -> list[bytes]:
    messages = [RELATION]
    lsn = 100
    for _ in range(draw(st.integers(1, 5))):
        lsn += 100
        messages.append(b"B" + struct.pack(">QqI", lsn, draw(st.integers(0, 5)) * 1_000_000, 1))
        for _ in range(draw(st.integers(0, 6))):
            key, other = draw(st.integers(0, 9)), draw(st.integers(0, 9))
            messages.append(
                draw(
                    st.sampled_from(
                        [
                            b"I" + struct.pack(">I", 7) + b"N" + _row(key, 1),
                            b"U" + struct.pack(">I", 7) + b"N" + _row(key, 2),
                            b"U" + struct.pack(">I", 7) + b"K" + _row(key, None) + b"N" + _row(other, 3),
                            b"D" + struct.pack(">I", 7) + b"K" + _row(key, None),
                        ]
                    )
                )
            )
        messages.append(b"C\0" + struct.pack(">QQq", lsn, lsn + 10, 0))
    return messages


def _read(
    messages: list[bytes], cuts: list[int], durable: int, clock: Clock
) -> tuple[list[tuple[Any, ...]], MessageReader]:
    reader, rows = MessageReader(clock), []
    reader.begin_run(durable)
    for first, last in zip([0, *cuts], [*cuts, len(messages)], strict=True):
        for changes in reader.read(pa.array(messages[first:last], pa.binary())):
            found = images(changes, [0], strict=False)
            keys = found.cells[0].slab.i4[found.cells[0].start]
            for row, source in enumerate(found.source):
                second = int(found.second[row])
                number, ordinal = int(changes.counter[source]) + second, int(changes.ordinal[source]) + second
                stamp = (int(changes.tick[source]), number, int(changes.commit_lsn[source]), ordinal)
                rows.append((chr(found.op[row]), int(keys[row]), *stamp))
    return rows, reader


@given(transactions(), st.lists(st.integers(0, 40), max_size=5))
@settings(max_examples=200, deadline=None)
def test_where_messages_are_cut_makes_no_difference(messages: list[bytes], cuts: list[int]) -> None:
    places = sorted(min(cut, len(messages)) for cut in cuts)
    whole, _ = _read(messages, [], 0, Clock())
    parts, reader = _read(messages, places, 0, Clock())
    assert parts == whole
    assert reader.last_end % 100 == 10
    order = [(tick, counter) for _, _, tick, counter, _, _ in whole]
    assert order == sorted(set(order))
    assert len({(lsn, ordinal) for *_, lsn, ordinal in whole}) == len(whole)


@given(transactions(), st.integers(0, 5))
@settings(deadline=None)
def test_a_stream_taken_up_again_numbers_changes_as_before(messages: list[bytes], done: int) -> None:
    whole, _ = _read(messages, [], 0, Clock())
    commits = [place for place, message in enumerate(messages) if message[:1] == b"C"]
    last = commits[min(done, len(commits) - 1)]
    _, reader = _read(messages[: last + 1], [], 0, Clock())
    again, _ = _read(messages, [], reader.last_end, Clock(reader.clock.tick, reader.clock.counter))
    assert again == [row for row in whole if row[4] >= reader.last_end]


def test_bytes_that_do_not_add_up_are_refused() -> None:
    short = b"I" + struct.pack(">I", 7) + b"N" + _row(1, 1)[:-1]
    begin = b"B" + struct.pack(">QqI", 200, 0, 1)
    with pytest.raises(DecodeError):
        _read([RELATION, begin, short, begin], [], 0, Clock())
    with pytest.raises(DecodeError, match="does not describe"):
        _read([begin, short], [], 0, Clock())
    with pytest.raises(DecodeError):
        record_columns(pa.array([struct.pack(">iIi", 2, 23, 4)], pa.binary()), 1)
