"""Change logs that no source need ever write: every rule of history is met often, in few rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from dms_assets.model.change_log import Row
from dms_assets.model.load import Load
from dms_assets.model.names import TableName

TABLE = TableName("demo", "thing")
_START = datetime(2026, 1, 1, tzinfo=UTC)
_KEYS = ((1, "a"), (1, "b"), (2, "a"), (None, "a"))
_NAMES = (None, "x")
_AMOUNTS = (None, 0.0, -0.0, float("nan"))


@dataclass(frozen=True)
class LogBatch:
    """The rows of one batch, and every load that is visible with it."""

    rows: list[Row]
    loads: list[Load]


def random_log(random: Random, *, unique_positions: bool, sequenced: bool) -> list[LogBatch]:
    """A log in batches: loads of any order, changes before, at and after their boundaries, copies of all ages."""
    loads = _loads(random)
    rows = [row for load in loads for row in _load_rows(random, load)]
    rows += _changes(random, unique_positions=unique_positions, sequenced=sequenced)
    return _batches(random, loads, rows)


def _at(random: Random) -> datetime:
    return _START + timedelta(seconds=random.randrange(8))


def _seq(second: int, counter: int) -> str:
    return f"2026010100000{second}00{counter:019d}"


def _loads(random: Random) -> list[Load]:
    loads = []
    for number in range(random.randrange(4)):
        stream, second = random.choice([1, 1, 2]), random.randrange(8)
        began = random.random() < 0.4
        at = _START + timedelta(seconds=second)
        loads.append(
            Load(
                load_id=f"{stream:06d}-{number}",
                table=TABLE,
                stream=stream,
                boundary_at=at,
                boundary_seq="" if began else _seq(second, 0),
                started_at=at,
                ended_at=at + timedelta(seconds=1),
                one_snapshot=began,
                rows=0,
                files=1,
            )
        )
    return loads


def _content(random: Random, key: tuple[object, ...]) -> tuple[object, ...]:
    if random.random() < 0.5:
        return (*key, "x", 0.0)
    return (*key, random.choice(_NAMES), random.choice(_AMOUNTS))


def _load_rows(random: Random, load: Load) -> list[Row]:
    keys = [key for key in _KEYS if random.random() < 0.6]
    return [
        Row(
            key=key,
            op="L",
            content=_content(random, key),
            stream=load.stream,
            seq=None,
            commit_at=load.boundary_at,
            position=None,
            load_id=load.load_id,
            file=f"load-{load.load_id}",
            file_row=number,
            change_id=f"L {load.load_id} {key}".encode(),
            batch=0,
        )
        for number, key in enumerate(keys)
    ]


def _changes(random: Random, *, unique_positions: bool, sequenced: bool) -> list[Row]:
    rows: list[Row] = []
    for number in range(random.randrange(14)):
        second = random.randrange(8)
        key, op = random.choice(_KEYS), random.choice("IUUD")
        # Few positions, so that transactions of several changes come about where positions are shared.
        change = f"{number}" if unique_positions else f"{random.randrange(4)}"
        stream, at = random.choice([1, 1, 2]), _at(random)
        if not unique_positions:
            at = _START + timedelta(seconds=int(change) * 2)
        row = Row(
            key=key,
            op=op,
            content=(*key, None, None) if op == "D" and random.random() < 0.5 else _content(random, key),
            stream=stream,
            seq=_seq(second, random.choice([0, number])) if sequenced else None,
            commit_at=at,
            position=change,
            load_id=None,
            file=f"file-{random.randrange(3)}",
            file_row=number,
            change_id=f"C {stream} {key} {at} {change}".encode(),
            batch=0,
        )
        rows.append(row)
        while random.random() < 0.35:
            rows.append(
                replace(
                    row,
                    seq=_seq(random.randrange(8), 100 + len(rows)) if sequenced else None,
                    file=f"file-{random.randrange(6)}",
                    file_row=100 + len(rows),
                )
            )
    return rows


def _batches(random: Random, loads: list[Load], rows: list[Row]) -> list[LogBatch]:
    """Rows of a load come whole, with it or before; changes in any order."""
    count = random.randrange(1, 5)
    becomes_visible = {load.load_id: random.randrange(1, count + 1) for load in loads}
    placed = [
        replace(row, batch=becomes_visible[row.load_id] if row.load_id else random.randrange(1, count + 1))
        for row in rows
    ]
    return [
        LogBatch(
            rows=[row for row in placed if row.batch == batch],
            loads=[load for load in loads if becomes_visible[load.load_id] <= batch],
        )
        for batch in range(1, count + 1)
    ]
