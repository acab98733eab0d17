"""The change log of one table: its rows, the order they have, and the load that a change follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dms_assets.model.change_columns import LOAD_OP
from dms_assets.model.load import Load
from dms_assets.model.sequence import LOWEST

Values = tuple[object, ...]
LogPlace = tuple[int, str, str, int, str, datetime, str, int]
"""(stream, boundary sequence and id of the load followed, 0 for load rows and 1 for changes, sequence, commit time,
file, file row): comparing two of these is the log order."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a validated table, as it was delivered; a change may be there in several copies.

    `content` is every column's value in the metadata's order (a delete may have only its key, the rest None),
    `key` the values of the key columns, empty for a table without a key. `load_id` is set in load rows only.
    `change_id` is the identity (`change_identity`): rows that have it in common are one change.
    """

    key: Values
    op: str
    content: Values
    stream: int
    seq: str | None
    commit_at: datetime
    position: str | None
    load_id: str | None
    file: str
    file_row: int
    change_id: bytes
    batch: int

    @property
    def place(self) -> tuple[str, datetime, str, int, int]:
        """Orders the copies of one change: sequence (none counts as ''), commit time, file, row, batch."""
        return (self.seq or LOWEST, self.commit_at, self.file, self.file_row, self.batch)


def loads_in_order(loads: Sequence[Load]) -> list[Load]:
    """The loads of one table in log order. Of two with one boundary the later started counts as later."""
    return sorted(loads, key=lambda load: (load.stream, load.boundary_seq, load.load_id))


def followed_load(row: Row, loads: Sequence[Load]) -> Load | None:
    """The load that a change follows: the last of its stream whose boundary it does not precede, if there is any.

    `loads` are those of the row's table, in log order. A change without a sequence is compared by its commit
    time; every change of a stream follows the load that began it.
    """
    for load in reversed(loads):
        if load.stream != row.stream:
            continue
        if load.boundary_seq == LOWEST:
            return load
        if load.boundary_at <= row.commit_at if row.seq is None else load.boundary_seq <= row.seq:
            return load
    return None


def log_place(row: Row, loads: Sequence[Load]) -> LogPlace:
    """Where a row stands in the log of its table; `loads` are the complete loads of that table, in log order.

    Raises ValueError for a row of a load that is not among them: a load is visible whole or not at all.
    """
    if row.op == LOAD_OP:
        load = next((load for load in loads if load.load_id == row.load_id), None)
        if load is None:
            raise ValueError(
                f"file {row.file} has rows of load {row.load_id}, which is not a complete load of the table; "
                "rows and loads must be read from one snapshot"
            )
        return load_place(load, row.file, row.file_row)
    followed = followed_load(row, loads)
    boundary_seq, load_id = (followed.boundary_seq, followed.load_id) if followed else (LOWEST, "")
    return (row.stream, boundary_seq, load_id, 1, row.seq or LOWEST, row.commit_at, row.file, row.file_row)


def load_place(load: Load, file: str = "", file_row: int = 0) -> LogPlace:
    """Where a load touches each key of its table, present in it or not."""
    return (load.stream, load.boundary_seq, load.load_id, 0, LOWEST, load.boundary_at, file, file_row)
