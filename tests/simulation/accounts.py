"""Every file is accounted for once, every row of it is in the validated table once, and none that DMS counted lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import duckdb

from dms_assets.lake.change_counts import count_changes
from dms_assets.lake.ledger import Ledger
from dms_assets.lake.pinned_snapshot import PinnedSnapshot, pinned_snapshot, validated_identifier
from dms_assets.lake.task_memory import StreamStore
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.model.task_state import TableState
from dms_assets.pipeline.checks.dms_statistics import Counters
from tests.simulation.instants import Difference
from tests.simulation.world import SOURCE, World


def unaccounted(world: World) -> Iterator[Difference]:
    """What is there twice, or lacks, when everything committed has been taken in."""
    stream = max(known.ordinal for known in StreamStore(world.installation.state, SOURCE).streams())
    states = world.capture.task().tables
    for table in world.tables:
        name = table.name
        pinned = pinned_snapshot(world.installation.catalog, validated_identifier(SOURCE, name))
        assert pinned is not None, f"{name} was never committed"
        told = (*_twice(pinned), *_accepted_twice(world, name), *_not_as_counted(pinned, stream, states[name], table))
        yield from (Difference(name, one) for one in told)
        world.counts["tables counted as DMS did"] += 1


def _twice(pinned: PinnedSnapshot) -> Iterator[str]:
    if pinned.files:
        relation = duckdb.read_parquet(list(pinned.files), union_by_name=True)
        twice = relation.query(
            "t", "select _file, _file_row, count(*) as n from t group by _file, _file_row, _load_id having n > 1"
        )
        assert twice is not None
        if rows := twice.fetchall():
            yield f"rows are in the validated table twice: {rows[:5]}"


def _accepted_twice(world: World, name: TableName) -> Iterator[str]:
    rows = Ledger(world.installation.ledger, SOURCE).rows(name)
    files = Counter((row.key, row.etag, row.last_modified) for row in rows if row.event == "accepted")
    if twice := [file for file, count in files.items() if count > 1]:
        yield f"files were accepted twice: {twice}"


def _not_as_counted(pinned: PinnedSnapshot, stream: int, state: TableState, table: TableMetadata) -> Iterator[str]:
    """Local DMS counts a change in the transaction that stores its position: a loss behind it shows here first."""
    counted, held = Counters.of(state).by_op(), count_changes(pinned.files, stream, None).distinct
    differs = {op: held.get(op, 0) - count for op, count in counted.items()}
    # A table without a key is a log: what is delivered again is there again.
    if any(difference != 0 if table.key else difference < 0 for difference in differs.values()):
        yield f"validated holds the changes {held} of stream {stream}, DMS wrote {counted}"
