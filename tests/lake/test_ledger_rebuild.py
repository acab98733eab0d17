"""A lost ledger is made again from table, archive and quarantine."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from dms_assets.lake.ledger import LedgerRow
from dms_assets.lake.ledger_rebuild import rebuild_ledger
from dms_assets.lake.quarantine import EntryState
from tests.lake.world import World, cdc_table, load_table, rows


def _comparable(found: list[LedgerRow]) -> set[LedgerRow]:
    """Without what only the first writer knew: when exactly it was, and the archive's key."""
    return {replace(row, at="", archive_key=None) for row in found}


def test_the_ledger_is_derived(world: World) -> None:
    world.land_load(load_table(rows(2)))
    world.loaded(2)
    world.land("20260101-000000001.parquet", cdc_table(rows(3, first=5)))
    world.land("20260101-000000002.parquet", cdc_table(rows(1), op="?"))
    world.ingest()
    # The same key and the same bytes once more: a reload.
    world.land_load(load_table(rows(2)))
    world.loaded(2, ago=timedelta(seconds=1), reloaded=True)
    world.ingest()
    (entry,) = world.quarantine.entries()
    world.quarantine.decide(entry, EntryState.REPLAY, "try", "me", world.start)
    world.ingest()
    before = world.ledger_rows()
    assert len(before) == 6
    for meta in list(world.stores.ledger.list()):
        world.stores.ledger.delete(meta.key, if_match=meta.etag)
    table = world.catalog.load_table(("shop_app_validated", "person"))
    written = rebuild_ledger(world.stores, world.spec, world.name, table, world.start)
    assert written == 2 + 3
    assert _comparable(world.ledger_rows()) == _comparable(before)
