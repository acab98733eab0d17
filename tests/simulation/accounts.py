"""Every file is accounted for once, and every row of it is in the validated table once."""

from __future__ import annotations

from collections import Counter

import duckdb

from dms_assets.lake.ledger import Ledger
from dms_assets.lake.pinned_snapshot import pinned_snapshot, validated_identifier
from tests.simulation.world import SOURCE, World


def check_accounts(world: World) -> None:
    """Raises AssertionError naming the table and what is there twice."""
    for table in world.tables:
        pinned = pinned_snapshot(world.installation.catalog, validated_identifier(SOURCE, table.name))
        assert pinned is not None, f"{table.name} was never committed"
        if pinned.files:
            relation = duckdb.read_parquet(list(pinned.files), union_by_name=True)
            twice = relation.query(
                "t", "select _file, _file_row, count(*) as n from t group by _file, _file_row, _load_id having n > 1"
            )
            assert twice is not None
            assert not twice.fetchall(), f"{table.name}: rows are in the validated table twice"
        ledger = Ledger(world.installation.ledger, SOURCE)
        files = Counter(
            (row.key, row.etag, row.last_modified) for row in ledger.rows(table.name) if row.event == "accepted"
        )
        assert all(count == 1 for count in files.values()), f"{table.name}: files were accepted twice: {files}"
