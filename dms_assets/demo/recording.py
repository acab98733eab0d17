"""Record the state of the source at an exact instant, behind the commit gate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psycopg

from dms_assets.model.table_metadata import TableMetadata
from dms_assets.reconcile.source_state import SourceState, read_source, take_snapshot
from dms_assets.sample.commit_gate import CommitGate


def record_instant(dsn: str, gate: CommitGate, tables: Sequence[TableMetadata], folder: Path) -> SourceState:
    """The source as of `state.at`: exactly the commits through `gate` with a commit time up to then.

    The gate is closed for two round trips to the source; the tables are read after it opened again.
    """
    with psycopg.connect(dsn) as connection:
        with gate.closed():
            snapshot = take_snapshot(connection)
        state = read_source(dsn, snapshot, tables, folder)
        connection.rollback()
    return state
