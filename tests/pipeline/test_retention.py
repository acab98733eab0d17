"""The retention job on a real lake and a real instance: what it says, what it removes, and that a week is bounded."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pyiceberg.catalog import Catalog

from dms_assets.curation.pinned_files import pinned_files
from dms_assets.curation.source_views import create_source_views
from dms_assets.curation.warehouse import open_warehouse
from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.lake import ledger
from dms_assets.lake.data_files import COMMIT_WITHIN
from dms_assets.lake.pinned_snapshot import validated_identifier
from dms_assets.lake.removed import Removed
from dms_assets.model.names import TableName
from dms_assets.pipeline.retention.job import JOB, SCHEDULE, build_retention_job, build_retention_schedule
from dms_assets.pipeline.retention.lake import LakeRetention, SomeTablesKeptError
from dms_assets.pipeline.retention.settings import RetentionSettings
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import World, cdc_table, load_table, rows

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def worker() -> Iterator[ValidationWorker]:
    with ValidationWorker() as running:
        yield running


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(Environment(home=tmp_path / "home"))


@pytest.fixture
def world(installation: Installation, worker: ValidationWorker) -> World:
    """A loaded table."""
    found = World(installation.environment.root, installation.landing, installation.lake, worker)
    found.land_load(load_table(rows(3)))
    found.loaded(3)
    found.ingest()
    return found


def work(world: World, first: int, count: int) -> None:
    for number in range(first, first + count):
        world.land(f"20260101-{number:09d}.parquet", cdc_table(rows(2, first=2 * number), seq=2 * number))
        world.ingest()


def files(world: World) -> int:
    return sum(path.is_file() for path in world.home.rglob("*"))


def execute(installation: Installation, world: World, instance: dg.DagsterInstance, **settings: Any) -> dict[str, Any]:
    result = build_retention_job([world.spec]).execute_in_process(
        instance=instance,
        resources={"installation": installation},
        run_config={"ops": {"remove_what_is_old": {"config": settings}}},
        raise_on_error=False,
    )
    (event,) = [e for e in result.all_events if e.is_successful_output or e.is_step_failure]
    if event.is_step_failure:
        error = event.step_failure_data.error
        assert error is not None
        return {"failed": error.to_string()}
    metadata = event.step_output_data.metadata
    removed = metadata["removed"]
    assert isinstance(removed, dg.TableMetadataValue)
    return {str(row.data["kind"]): row.data["count"] for row in removed.records} | {
        "dry run": metadata["dry run"].value
    }


def test_the_job_says_what_it_removed(installation: Installation, world: World) -> None:
    work(world, 10, 3)
    with dg.DagsterInstance.ephemeral() as instance:
        before = files(world)
        said = execute(installation, world, instance, dry_run=True, compact_from=2)
        assert (said["dry run"], said["small data files rewritten"]) == (True, 4)
        assert files(world) == before
        assert len(world.pinned().files) == 4
        done = execute(installation, world, instance, compact_from=2)
        assert done == said | {"dry run": False}
        assert len(world.pinned().files) == 1
        assert {kind: count for kind, count in done.items() if count} == {"small data files rewritten": 4}
        assert len(done) == 12 + 1


def test_a_kind_that_fails_stops_no_other(
    installation: Installation, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(world, 10, 3)

    def fail(*_: object, **__: object) -> Removed:
        raise OSError("disk on fire")

    monkeypatch.setattr("dms_assets.pipeline.retention.lake.sweep_orphans", fail)
    with dg.DagsterInstance.ephemeral() as instance:
        failed = execute(installation, world, instance, compact_from=2)["failed"]
    assert "1 kinds could not be removed, all others were: files of tables that nothing refers to" in failed
    assert "disk on fire" in failed
    assert len(world.pinned().files) == 1


def test_a_table_that_fails_stops_no_other(
    installation: Installation, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_for_the_first(catalog: Catalog, identifier: tuple[str, str], *args: Any, **options: Any) -> Removed:
        if identifier == validated_identifier(world.spec.name, world.spec.table_names[0]):
            raise OSError("disk on fire")
        done.append(identifier)
        return Removed(7)

    done: list[tuple[str, str]] = []
    monkeypatch.setattr("dms_assets.pipeline.retention.lake.compact", fail_for_the_first)
    kinds = dict(LakeRetention(installation, [world.spec], RetentionSettings(), NOW).kinds())
    with pytest.raises(
        SomeTablesKeptError, match=r"7 of other tables removed; shop: app\.person: OSError: disk on fire"
    ):
        kinds["small data files rewritten"]()
    assert done == [validated_identifier("shop", TableName("app", "note"))]


def test_a_stack_that_ticks_for_days_stays_as_large_as_its_rows(
    installation: Installation, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PART", 10)
    settings = RetentionSettings(compact_from=10)
    sizes, snapshots, data = [], [], []
    for day in range(1, 5):
        work(world, 100 * day, 30)
        # As if that had been days ago.
        retention = LakeRetention(installation, [world.spec], settings, NOW + timedelta(days=10 * day))
        for _, remove in retention.kinds():
            remove()
        sizes.append(files(world))
        snapshots.append(len(world.catalog.load_table(("shop_app_validated", "person")).metadata.snapshots))
        data.append(len(world.pinned().files))
    assert max(snapshots) <= 2
    assert max(data) <= 2
    assert max(sizes[1:]) - min(sizes[1:]) <= 2 * 3, "a part of the ledger or two a day, for ten batches each"
    assert len(world.table_rows()) == 3 + 4 * 30 * 2
    assert {row.batch for row in world.ledger_rows()} == set(range(1, 122))
    assert world.archived() == []
    assert not world.ingest().committed


def test_files_that_the_warehouse_reads_stay(installation: Installation, world: World) -> None:
    """A table that is held for long keeps its view on an old snapshot."""
    work(world, 10, 3)
    old = world.pinned()
    warehouse = installation.environment.warehouse_file
    assert pinned_files(warehouse) == frozenset()
    with open_warehouse(warehouse) as connection:
        create_source_views(connection, world.spec.name, world.metadata, old, at=NOW)
    assert pinned_files(warehouse) == set(old.files)
    for days in (10, 20):
        retention = LakeRetention(
            installation, [world.spec], RetentionSettings(compact_from=2), NOW + timedelta(days=days)
        )
        for _, remove in retention.kinds():
            remove()
    assert len(world.pinned().files) == 1
    with open_warehouse(warehouse) as connection:
        (count,) = connection.execute("select count(*) from shop_app_validated.person").fetchone() or (0,)
        assert count == 9
        create_source_views(connection, world.spec.name, world.metadata, world.pinned(), at=NOW)
    removed = dict(retention.kinds())["files of tables that nothing refers to"]()
    assert removed.count == 4
    assert not any(Path(file).exists() for file in old.files)


def test_a_quoted_path_is_read_as_it_is(tmp_path: Path, world: World) -> None:
    strange = tmp_path / "it's here" / "a.parquet"
    strange.parent.mkdir()
    strange.write_bytes(Path(world.pinned().files[0]).read_bytes())
    warehouse = tmp_path / "w.duckdb"
    with open_warehouse(warehouse) as connection:
        pinned = replace(world.pinned(), files=(str(strange),))
        create_source_views(connection, world.spec.name, world.metadata, pinned, at=NOW)
    assert pinned_files(warehouse) == {str(strange)}


def test_the_schedule_runs_by_itself_and_limits_keep_commits_safe() -> None:
    job = build_retention_job([])
    schedule = build_retention_schedule(job)
    assert (job.name, schedule.name) == (JOB, SCHEDULE)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    with pytest.raises(ValueError, match="orphan_hours"):
        RetentionSettings(orphan_hours=COMMIT_WITHIN // timedelta(hours=1))
