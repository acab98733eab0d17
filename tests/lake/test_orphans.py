"""Files that nothing refers to are removed once they are old; no other file ever is."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dms_assets.lake import data_files, validated_table
from dms_assets.lake.orphans import sweep_orphans
from dms_assets.lake.removed import Removed
from dms_assets.lake.validated_table import expire_snapshots
from dms_assets.model.failpoints import FailpointError
from tests.lake.world import World, cdc_table, dying_at, load_table, rows

IDENTIFIER = ("shop_app_validated", "person")


@pytest.fixture
def busy(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A table of twelve batches; its list of committed files is in a manifest of its own."""
    monkeypatch.setattr(validated_table, "INLINE_BYTES", 10)
    world.land_load(load_table(rows(3)))
    world.loaded(3)
    world.ingest()
    for number in range(11):
        world.land(f"20260101-{number:09d}.parquet", cdc_table(rows(1, first=100 + number), seq=number))
        world.ingest()
    return world


def folder(world: World) -> Path:
    return world.home / "lake" / IDENTIFIER[0] / IDENTIFIER[1]


def files(world: World) -> set[Path]:
    return {path for path in folder(world).rglob("*") if path.is_file()}


def later(**age: float) -> datetime:
    return datetime.now(UTC) + timedelta(**age)


def test_data_files_of_a_killed_batch_go_when_they_are_old(busy: World) -> None:
    known = files(busy)
    busy.land("20260101-000000099.parquet", cdc_table(rows(1, first=999), seq=99))
    with dying_at("dms_assets.lake.batch_attempt", "lake.before_commit"), pytest.raises(FailpointError):
        busy.ingest()
    (orphan,) = files(busy) - known
    assert sweep_orphans(busy.catalog, IDENTIFIER, later(hours=-1)) == Removed(), "a commit may still name it"
    before = busy.table_rows()
    assert sweep_orphans(busy.catalog, IDENTIFIER, later(hours=1), pinned=[str(orphan)], dry_run=True).count > 0
    assert orphan.exists()
    sweep_orphans(busy.catalog, IDENTIFIER, later(hours=1), pinned=[str(orphan)])
    assert orphan.exists(), "somebody reads it"
    assert sweep_orphans(busy.catalog, IDENTIFIER, later(hours=1)).count == 1
    assert not orphan.exists()
    assert busy.table_rows() == before
    assert busy.ingest().rows == 1


def test_what_forgotten_snapshots_named_goes_and_the_table_stays_whole(busy: World) -> None:
    table = busy.catalog.load_table(IDENTIFIER)
    assert expire_snapshots(table, before=later(days=1), dry_run=True) == 11
    assert expire_snapshots(table, before=later(days=-1)) == 0
    assert expire_snapshots(table, before=later(days=1)) == 11
    assert len(busy.catalog.load_table(IDENTIFIER).metadata.snapshots) == 1
    before, held = busy.table_rows(), len(files(busy))
    removed = sweep_orphans(busy.catalog, IDENTIFIER, later(hours=1))
    assert removed.count >= 11 * 2
    assert removed.size > 0
    assert len(files(busy)) == held - removed.count
    assert busy.table_rows() == before
    assert len(busy.catalog.load_table(IDENTIFIER).scan().to_arrow()) == len(before)
    busy.land("20260101-000000099.parquet", cdc_table(rows(1, first=999), seq=99))
    assert busy.ingest().batch == 13
    assert not busy.ingest().committed


def test_a_table_that_is_not_there_has_no_orphans(world: World) -> None:
    assert sweep_orphans(world.catalog, IDENTIFIER, later(hours=1)) == Removed()


def test_a_process_that_slept_does_not_commit_what_may_be_swept(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its data files may be gone; it begins again with new ones."""
    slept: list[str] = []

    def sleep(name: str) -> None:
        if name == "lake.before_commit":
            monkeypatch.setattr(data_files, "COMMIT_WITHIN", timedelta(hours=12 if slept else -1))
            slept.append(name)

    monkeypatch.setattr("dms_assets.lake.batch_attempt.reach", sleep)
    busy.land("20260101-000000099.parquet", cdc_table(rows(1, first=999), seq=99))
    outcome = busy.ingest()
    assert len(slept) == 2
    assert (outcome.attempts, outcome.rows) == (2, 1)
    assert {path for path in files(busy) if path.parent.name == "data"} == {Path(f) for f in busy.pinned().files}


def test_the_age_of_a_data_file_counts_from_when_it_is_in_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been written long before, while the rest of a load was validated."""
    publish = data_files._publish

    def written_long_ago(table: object, path: Path) -> str:
        os.utime(path, (1, 1))
        return publish(table, path)  # type: ignore[arg-type]

    monkeypatch.setattr(data_files, "_publish", written_long_ago)
    world.land_load(load_table(rows(3)))
    world.loaded(3)
    world.ingest()
    (data,) = world.pinned().files
    assert datetime.now(UTC).timestamp() - Path(data).stat().st_mtime < 60


def test_snapshots_stay_few(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validated_table, "KEPT_SNAPSHOTS", 3)
    monkeypatch.setattr(validated_table, "_EXPIRE_ABOVE", 6)
    world.loaded(0)
    for number in range(12):
        world.land(f"20260101-{number:09d}.parquet", cdc_table(rows(1, first=number)))
        world.ingest()
    table = world.catalog.load_table(("shop_app_validated", "person"))
    assert len(table.metadata.snapshots) <= 7
    assert len(world.table_rows()) == 12
