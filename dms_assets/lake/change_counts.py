"""How many changes and load rows a validated table holds, counted from its data files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb

from dms_assets.model.change_columns import CHANGE_ID, LOAD_ID, OP, STREAM


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """Rows of one stream by operation (I, U, D): all of them, and without the copies of redelivered ones.

    `load_rows` are the rows of one load.
    """

    rows: dict[str, int] = field(default_factory=dict)
    distinct: dict[str, int] = field(default_factory=dict)
    load_rows: int = 0


def count_changes(files: Sequence[str], stream: int, load_id: str | None) -> ChangeCounts:
    """Count over the data files of one snapshot: two narrow columns of it, and the identities of the stream."""
    if not files:
        return ChangeCounts()
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        found = connection.execute(
            f"""
            select {OP}, count(*), count(distinct {CHANGE_ID}), count(*) filter ({LOAD_ID} = $load)
            from read_parquet($files, union_by_name => true)
            where {STREAM} = $stream group by {OP}
            """,
            {"files": list(files), "stream": stream, "load": load_id or ""},
        ).fetchall()
    changes = [row for row in found if row[0] in {"I", "U", "D"}]
    return ChangeCounts(
        rows={op: rows for op, rows, _, _ in changes},
        distinct={op: distinct for op, _, distinct, _ in changes},
        load_rows=sum(row[3] for row in found),
    )
