"""Rules on the columns that DMS adds: what a change is, when it was, and its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from dms_assets.model.change_columns import DELETE_OP, INSERT_OP, UPDATE_OP, LandingColumns
from dms_assets.model.landed_file import FileKind
from dms_assets.validation.outcome import Group
from dms_assets.validation.rule import Rule

_FORMAT = "%Y-%m-%d %H:%M:%S%.6f"
_TIMESTAMP = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$"
_SEQUENCE = r"^[0-9]{35}$"

AHEAD_OF_FILE = timedelta(days=1)
"""How far a commit time may be ahead of its file's own time: clocks and time zones differ by less than a day.

Beyond it a value is wrong; let in, it would put every later change of its key into the future too.
"""
# No engine has names of this length, so no column of a file does.
INSTANT = "instant".ljust(200, "_")
PREVIOUS_SEQ = "previous_seq".ljust(200, "_")
PREVIOUS_TIMESTAMP = "previous_timestamp".ljust(200, "_")


def change_rules(
    columns: LandingColumns,
    kind: FileKind,
    *,
    has_op: bool,
    unique_positions: bool,
    ordered: bool,
    written_at: datetime,
) -> list[Rule]:
    """The rules for files of a kind. `has_op`: the file has an `Op` column; `written_at`: the file's own time.

    `ordered`: the source promises that rows of a file are in order of their sequence. Frames are those of `prepared`.
    """
    change = kind is FileKind.CDC
    rules = [_op(columns.op, change=change)] if has_op else []
    rules += _timestamp(columns.timestamp, written_at)
    if columns.seq is not None:
        rules.append(_sequence(columns.seq, change=change))
    if change and unique_positions and columns.position is not None:
        position = pl.col(columns.position)
        failing = (position.str.len_bytes() == 0).fill_null(value=True)
        rules.append(Rule(Group.SEQUENCE, columns.position, "position", "not empty", failing, value_rule=False))
    if change and ordered and columns.seq is not None:
        failing = (pl.col(columns.seq) <= pl.col(PREVIOUS_SEQ)).fill_null(value=False)
        expected = "above that of the row before"
        rules.append(Rule(Group.ORDER, columns.seq, "rising", expected, failing, value_rule=False))
    return rules


def prepared(frame: pl.DataFrame, columns: LandingColumns, last: tuple[str, str]) -> pl.DataFrame:
    """The landed rows with what rules compare them with; `last` are sequence and time of the row before the first.

    Added are the commit time as an instant (null where it cannot be read), and each row's predecessor's sequence and
    time as texts.
    """
    seq = pl.lit("") if columns.seq is None else pl.col(columns.seq)
    stamp = pl.col(columns.timestamp)
    return frame.with_columns(
        stamp.str.to_datetime(_FORMAT, time_unit="us", strict=False).alias(INSTANT),
        seq.shift(1, fill_value=last[0]).alias(PREVIOUS_SEQ),
        stamp.shift(1, fill_value=last[1]).alias(PREVIOUS_TIMESTAMP),
    )


def steps_back(frame: pl.DataFrame, columns: LandingColumns) -> int:
    """Rows whose sequence is not above that of the row before, in a frame that `prepared` made."""
    if columns.seq is None:
        return 0
    return int((frame[columns.seq] <= frame[PREVIOUS_SEQ]).sum())


def clock_steps_back(frame: pl.DataFrame, columns: LandingColumns) -> tuple[int, float]:
    """Rows whose commit time is before that of the row before, and by how many seconds at most.

    The frame is one that `prepared` made, and its times can be read.
    """
    before = pl.col(PREVIOUS_TIMESTAMP)
    back = frame.lazy().filter(pl.col(columns.timestamp) < before).select(INSTANT, before).collect()
    if back.is_empty():
        return 0, 0.0
    earlier = back[PREVIOUS_TIMESTAMP].str.to_datetime(_FORMAT, time_unit="us").to_physical()
    worst: int = (earlier - back[INSTANT].to_physical()).to_numpy().max()
    return back.height, worst / 1_000_000


def _op(column: str, *, change: bool) -> Rule:
    ops = (INSERT_OP, UPDATE_OP, DELETE_OP) if change else (INSERT_OP,)
    failing = ~pl.col(column).is_in(ops).fill_null(value=False)
    return Rule(Group.OP, column, "op", f"one of {', '.join(ops)}", failing, value_rule=False)


def _timestamp(column: str, written_at: datetime) -> list[Rule]:
    stamp = pl.col(column)
    good = stamp.str.contains(_TIMESTAMP) & pl.col(INSTANT).is_not_null()
    form = "yyyy-MM-dd HH:mm:ss.SSSSSS"
    # Times of this form compare as texts.
    latest = f"{(written_at + AHEAD_OF_FILE).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
    future = (stamp > latest).fill_null(value=False)
    expected = "at most a day after the file was written"
    return [
        Rule(Group.SEQUENCE, column, "timestamp", form, ~good.fill_null(value=False), value_rule=False),
        Rule(Group.SEQUENCE, column, "not_in_future", expected, future, value_rule=False),
    ]


def _sequence(column: str, *, change: bool) -> Rule:
    seq = pl.col(column)
    if change:
        failing, expected = ~seq.str.contains(_SEQUENCE).fill_null(value=False), "35 digits"
    else:
        failing, expected = (seq != "").fill_null(value=False), "empty in a full load"
    return Rule(Group.SEQUENCE, column, "seq", expected, failing, value_rule=False)
