"""Ledger, archive, quarantine and local folders: what is gathered, what goes, and what must stay."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from dms_assets.lake import ledger as ledger_module
from dms_assets.lake.aging import age_archive, age_quarantine
from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.ledger_rebuild import rebuild_ledger
from dms_assets.lake.leftovers import sweep_files, sweep_folders, sweep_store
from dms_assets.lake.quarantine import EntryState
from dms_assets.lake.removed import Removed
from dms_assets.model.failpoints import FailpointError
from tests.lake.world import World, cdc_table, dying_at, load_table, newer, rows

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=60)


@pytest.fixture
def busy(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A table of eight batches; three of them make a part of the ledger."""
    monkeypatch.setattr(ledger_module, "PART", 3)
    world.land_load(load_table(rows(1)))
    world.loaded(1)
    world.ingest()
    for number in range(7):
        world.land(f"20260101-{number:09d}.parquet", cdc_table(rows(1, first=10 + number), seq=number))
        world.ingest()
    return world


def objects(world: World) -> list[str]:
    return sorted(meta.key.rpartition("/")[2] for meta in world.stores.ledger.list("shop/app/person/"))


def test_old_batches_of_the_ledger_are_gathered_and_say_the_same(busy: World) -> None:
    before = busy.ledger_rows()
    assert busy.ledger.gather(busy.name, 8, dry_run=True).count == 6
    assert busy.ledger.gather(busy.name, 8).count == 6
    assert objects(busy) == [
        "batch-0000000007.jsonl",
        "batch-0000000008.jsonl",
        "batches-0000000001.jsonl.gz",
        "batches-0000000004.jsonl.gz",
    ]
    assert busy.ledger_rows() == before
    assert all(busy.ledger.has_batch(busy.name, batch) for batch in range(1, 9))
    assert not busy.ledger.has_batch(busy.name, 10)
    assert busy.ledger.gather(busy.name, 8) == Removed()
    with duckdb.connect() as connection:
        query = "select count(*), count(distinct batch) from read_json(?, union_by_name => true)"
        assert connection.execute(query, [f"{busy.home}/ledger/shop/**/*.jsonl*"]).fetchall() == [(8, 8)]


def test_the_part_of_the_newest_batch_stays_as_it_is(busy: World) -> None:
    assert busy.ledger.gather(busy.name, 6).count == 3, "batch 6 may still be written again"


def test_a_part_that_lacks_a_batch_is_left_alone(busy: World) -> None:
    (busy.home / "ledger" / "shop" / "app" / "person" / "batch-0000000002.jsonl").unlink()
    assert busy.ledger.gather(busy.name, 8).count == 3
    assert "batch-0000000001.jsonl" in objects(busy)


def test_a_gathering_that_died_is_finished(busy: World) -> None:
    before = busy.ledger_rows()
    with dying_at("dms_assets.lake.ledger", "retention.after_ledger_part"), pytest.raises(FailpointError):
        busy.ledger.gather(busy.name, 8)
    assert busy.ledger_rows() == before, "rows that are there twice count once"
    (busy.home / "ledger" / "shop" / "app" / "person" / "batch-0000000002.jsonl").unlink()
    assert busy.ledger.gather(busy.name, 8).count == 5
    assert busy.ledger_rows() == before


def test_a_rebuilt_ledger_has_no_row_twice(busy: World) -> None:
    busy.ledger.gather(busy.name, 8)
    table = busy.catalog.load_table(("shop_app_validated", "person"))
    rebuild_ledger(busy.stores, busy.spec, busy.name, table, NOW)
    assert sorted(row.batch or 0 for row in busy.ledger_rows()) == list(range(1, 9))


def test_announcements_go_but_for_one_that_is_not_recorded(world: World) -> None:
    ledger, name = world.ledger, world.name
    for batch_id in ("never", "committed"):
        ledger.announce(name, batch_id, [])
    assert ledger.forget_announcements(name, 1, "committed", NOW - timedelta(hours=1)) == Removed()
    assert ledger.forget_announcements(name, 1, "committed", LATER, dry_run=True).count == 1
    assert ledger.forget_announcements(name, 1, "committed", LATER).count == 1
    assert ledger.record_batch(name, 1, "committed", 5)
    ledger.announce(name, "committed", [])
    assert ledger.forget_announcements(name, 1, "committed", LATER).count == 1


def test_originals_go_when_they_are_old(busy: World) -> None:
    assert age_archive(busy.stores.archive, "shop", NOW - timedelta(days=1)) == Removed()
    assert age_archive(busy.stores.archive, "shop", LATER, dry_run=True).count == 8
    assert len(busy.archived()) == 8
    removed = age_archive(busy.stores.archive, "shop", LATER)
    assert removed.count == 8
    assert removed.size > 0
    assert busy.archived() == []


def test_only_settled_entries_of_quarantine_go(busy: World) -> None:
    for number in range(4):
        busy.land(f"20260102-{number:09d}.parquet", cdc_table(rows(1), op="?"))
    busy.ingest()
    done, replay, discard, opened = busy.quarantine.entries()
    busy.quarantine.decide(done, EntryState.DISCARD, "x", "me", NOW)
    busy.ingest()
    busy.quarantine.decide(replay, EntryState.REPLAY, "x", "me", NOW)
    busy.quarantine.decide(discard, EntryState.DISCARD, "x", "me", NOW)
    # A copy whose report was never written: the process died, and the file was judged otherwise later.
    busy.stores.quarantine.put("shop/tables/app/person/0123456789abcdef/file", b"?")
    assert age_quarantine(busy.quarantine, NOW - timedelta(days=1)) == Removed()
    assert age_quarantine(busy.quarantine, LATER, dry_run=True).count == 2
    assert age_quarantine(busy.quarantine, LATER).count == 2
    left = {entry.entry_id: entry.state for entry in busy.quarantine.entries()}
    assert left == {
        replay.entry_id: EntryState.REPLAY,
        discard.entry_id: EntryState.DISCARD,
        opened.entry_id: EntryState.OPEN,
    }
    assert not list(busy.stores.quarantine.list("shop/tables/app/person/0123456789abcdef/"))


def test_a_copy_left_in_a_done_entry_goes_with_the_next_run(busy: World) -> None:
    busy.land("20260102-000000001.parquet", cdc_table(rows(1), op="?"))
    busy.ingest()
    (entry,) = busy.quarantine.entries()
    busy.quarantine.decide(entry, EntryState.DISCARD, "x", "me", NOW)
    with dying_at("dms_assets.lake.quarantine", "lake.after_done_mark"), pytest.raises(FailpointError):
        busy.ingest()
    (entry,) = busy.quarantine.entries()
    assert entry.state is EntryState.DONE
    assert entry.file is not None
    busy.ingest()
    (entry,) = busy.quarantine.entries()
    assert entry.file is None


def test_half_written_objects_go_when_they_are_old(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "bucket")
    store.put("a", b"1")
    half = store.unfinished / "half"
    half.write_bytes(b"12")
    assert sweep_store(store, NOW - timedelta(hours=1)) == Removed()
    abandoned = store.set_aside / "etag" / "a"
    abandoned.mkdir(parents=True)
    assert sweep_store(store, LATER, dry_run=True) == Removed(1, 2)
    assert sweep_store(store, LATER) == Removed(1, 2)
    assert not half.exists()
    assert not list(store.set_aside.rglob("a"))
    assert [meta.key for meta in store.list()] == ["a"]


def test_deleted_objects_leave_no_folders_behind(tmp_path: Path) -> None:
    """Every listing looks through them."""
    store = FolderStore(tmp_path / "bucket")
    for number in range(5):
        meta = store.put(f"a/b/{number}", b"1")
        store.delete(meta.key, if_match=meta.etag)
    assert list((tmp_path / "bucket" / ".object-store" / "aside").iterdir()) == []


def test_a_file_that_a_killed_delete_left_aside_is_settled_with_its_folders(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "bucket")
    meta = store.put("a/b", b"1")
    aside = tmp_path / "bucket" / ".object-store" / "aside" / meta.etag / "a" / "b"
    aside.parent.mkdir(parents=True)
    (tmp_path / "bucket" / "a" / "b").rename(aside)
    assert list(store.list()) == []
    assert list((tmp_path / "bucket" / ".object-store" / "aside").iterdir()) == []


def test_only_folders_and_files_that_nobody_writes_to_go(tmp_path: Path) -> None:
    for name in ("run-1", "run-2", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"123")
        os.utime(tmp_path / name / "file", (1, 1))
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / "run-2" / "new").write_bytes(b"")
    assert sweep_folders(tmp_path, NOW - timedelta(hours=1), prefix="run-", dry_run=True) == Removed(1, 3)
    assert sweep_folders(tmp_path, NOW - timedelta(hours=1), prefix="run-") == Removed(1, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run-2"]
    assert sweep_files(tmp_path, NOW - timedelta(hours=1)) == Removed(2, 6)
    assert sweep_folders(tmp_path / "nowhere", LATER) == Removed()


def test_an_object_that_was_written_again_meanwhile_stays(busy: World) -> None:
    key = busy.archived()[0]
    store = busy.stores.archive
    listed = list(store.list("shop/"))

    class Stale:
        uri = store.uri

        def list(self, prefix: str) -> list[object]:
            newer(store, key, 0)  # type: ignore[arg-type]
            return list(listed)

        def delete(self, key: str, *, if_match: str) -> None:
            store.delete(key, if_match=if_match)

    assert age_archive(Stale(), "shop", LATER).count == 7  # type: ignore[arg-type]
    assert busy.archived() == [key]
