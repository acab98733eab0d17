import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from dms_assets.curation.latest_build import begin_build
from dms_assets.curation.publish import publish
from dms_assets.curation.source_views import create_source_views
from dms_assets.curation.warehouse import open_warehouse
from dms_assets.installation import Installation
from dms_assets.lake.quarantine import EntryState
from dms_assets.lake.task_memory import PollStore, StreamStore
from dms_assets.model.landed_file import load_file_name
from dms_assets.model.names import Layer
from dms_assets.model.task_state import TaskState
from dms_assets.model.watermark import LogReading, Note
from dms_assets.pipeline.checks.hold import QUARANTINE_CHECK
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.reconciliation.store import ReconciliationStore
from dms_assets.pipeline.reconciliation.watermark import WatermarkStore
from dms_assets.pipeline.sensors.dms import captured_result
from dms_assets.pipeline.status.model import PlatformStatus, TableStatus
from dms_assets.pipeline.status.read import read_status
from dms_assets.reconcile.result import ReconciliationResult
from dms_assets.sources import InvalidSourceError, Problem
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import PERSON, World, cdc_table, load_table, rows
from tests.web.installed_world import declared, installed_world


@pytest.fixture(scope="module")
def worker() -> Iterator[ValidationWorker]:
    with ValidationWorker() as running:
        yield running


@pytest.fixture
def installed(tmp_path: Path, worker: ValidationWorker) -> tuple[Installation, World]:
    return installed_world(tmp_path, worker)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """With the storage of sensors, which an ephemeral one lacks."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as made:
        yield made


def _loaded(world: World) -> None:
    world.land_load(load_table(rows(3)))
    world.loaded(3)
    world.ingest()


def _curate(installation: Installation, world: World) -> None:
    environment = installation.environment
    with open_warehouse(environment.warehouse_file) as connection:
        create_source_views(connection, "shop", PERSON, world.pinned(), at=datetime.now(UTC))
        build = begin_build(connection)
    publish(environment.warehouse_file, environment.published_file, build)


def _person(status: PlatformStatus) -> TableStatus:
    return status.sources[0].tables[0]


def _files(home: Path) -> set[Path]:
    return set(home.rglob("*"))


def test_a_folder_in_which_nothing_happened_is_told_of_and_left_alone(
    installed: tuple[Installation, World], tmp_path: Path
) -> None:
    _, world = installed
    empty = Installation(installed[0].environment.__class__(home=tmp_path / "empty"))
    status = read_status(empty, None, declared(world))
    assert [table.phase for table in status.sources[0].tables] == ["not loaded yet", "not loaded yet"]
    assert status.well
    assert not (tmp_path / "empty").exists()


def test_a_table_on_its_way(installed: tuple[Installation, World]) -> None:
    installation, world = installed
    _loaded(world)
    assert _person(read_status(installation, None, declared(world))).phase == "building"
    _curate(installation, world)
    before = _files(world.home)
    table = _person(read_status(installation, None, declared(world)))
    assert (table.phase, table.batch, table.curated_batch, table.pending_files) == ("up to date", 1, 1, 0)
    assert _files(world.home) == before
    world.land("20260101-000000001.parquet", cdc_table(rows(1, 10)))
    table = _person(read_status(installation, None, declared(world)))
    assert (table.phase, table.pending_files) == ("taking in", 1)
    assert table.pending_bytes > 0
    assert table.pending_since is not None


def test_damaged_metadata_is_a_problem_of_its_table(installed: tuple[Installation, World]) -> None:
    installation, world = installed
    _loaded(world)
    _curate(installation, world)
    installation.versions("shop").record(PERSON, datetime.now(UTC))
    before = read_status(installation, None, declared(world))
    (stored,) = installation.environment.state_dir.rglob("app.person/*.json")
    stored.write_text("{", encoding="utf-8")
    status = read_status(installation, None, declared(world))
    table = _person(status)
    assert (_person(before).damaged, table.phase) == (None, "damaged metadata")
    (problem,) = table.problems()
    assert problem.startswith("the stored metadata of app.person cannot be read")
    assert "put the document back from a copy" in problem
    assert not status.well
    assert status.sources[0].tables[1].damaged is None


def test_the_runtime_warehouse_is_never_opened(installed: tuple[Installation, World]) -> None:
    installation, world = installed
    _loaded(world)
    _curate(installation, world)
    installation.environment.warehouse_file.write_bytes(b"no database")
    assert _person(read_status(installation, None, declared(world))).curated_batch == 1


def test_a_held_table_says_why_and_is_released(installed: tuple[Installation, World]) -> None:
    installation, world = installed
    _loaded(world)
    bad = rows(2, 20, status=pa.array(["OPEN", "SECRET-CANARY"], pa.string()))
    world.land("20260101-000000001.parquet", cdc_table(bad))
    world.land("20260101-000000002.parquet", b"no parquet")
    world.ingest()
    status = read_status(installation, None, declared(world))
    table = _person(status)
    assert (table.phase, table.quarantined) == ("held", {"domain": 1, "unreadable": 1})
    assert [hold.check for hold in table.holds] == [QUARANTINE_CHECK]
    assert status.sources[0].quarantined == {"domain": 1, "unreadable": 1}
    assert not status.well
    assert "held" in status.problems[0]
    assert "SECRET-CANARY" not in json.dumps(status.to_json())
    for entry in world.quarantine.entries():
        decided = world.quarantine.decide(entry, EntryState.DISCARD, "planted", "tester", datetime.now(UTC))
        world.quarantine.finish(decided, datetime.now(UTC))
    assert read_status(installation, None, declared(world)).well


def _task(world: World, status: str) -> TaskState:
    assert world.state is not None
    return TaskState("arn:task", "dms-assets-shop", status, world.start, tables={world.name: world.state})


def _observe(instance: dg.DagsterInstance, world: World, status: str) -> None:
    task = _task(world, status)
    key = table_key("shop", Layer.LANDING, world.name)
    instance.report_runless_asset_event(dg.AssetObservation(key, metadata={"task status": status}))
    for name in world.spec.table_names:
        result = captured_result(world.spec, name, task)
        instance.report_runless_asset_event(dg.AssetCheckEvaluation(**result))


def test_the_task_as_it_was_last_seen(installed: tuple[Installation, World], instance: dg.DagsterInstance) -> None:
    installation, world = installed
    _loaded(world)
    PollStore(installation.state, "shop").record(_task(world, "running"), datetime.now(UTC))
    _observe(instance, world, "running")
    source = read_status(installation, instance, declared(world)).sources[0]
    assert (source.task, source.tables[0].state, source.tables[0].trouble) == ("running", "Table completed", None)
    # The other table is not in the task.
    assert source.tables[1].phase == "not captured"
    assert "provision" in (source.tables[1].trouble or "")
    assert source.trouble is None
    _observe(instance, world, "stopped")
    status = read_status(installation, instance, declared(world))
    assert status.sources[0].task == "stopped"
    told = "shop: task 'dms-assets-shop' is stopped; `dms-assets task start shop` resumes it"
    assert status.problems == (told,), "what is wrong with all tables is said once"


def test_when_it_was_made(installed: tuple[Installation, World], instance: dg.DagsterInstance) -> None:
    installation, world = installed
    before = datetime.now(UTC) - timedelta(seconds=1)
    for layer in (Layer.VALIDATED, Layer.CURATED):
        instance.report_runless_asset_event(dg.AssetMaterialization(table_key("shop", layer, world.name)))
    table = _person(read_status(installation, instance, declared(world)))
    assert table.validated_at is not None
    assert table.curated_at is not None
    assert before < table.validated_at <= table.curated_at <= datetime.now(UTC)


def test_lag_and_how_far_a_table_is_complete(installed: tuple[Installation, World]) -> None:
    installation, world = installed
    assert read_status(installation, None, declared(world)).sources[0].lag_s(datetime.now(UTC)) is None
    _loaded(world)
    StreamStore(installation.state, "shop").register(_task(world, "running"))
    at = datetime.now(UTC)
    WatermarkStore(installation.state, "shop").advance(1, LogReading(Note(at, 100), "slot", 100), landed_by=at)
    status = read_status(installation, None, declared(world))
    lag = status.sources[0].lag_s(status.at)
    assert lag is not None
    assert 0 < lag < 60
    table = _person(status)
    assert table.complete_to == status.sources[0].watermark
    assert table.curated_complete_to is None, "nothing of it is curated yet"
    _curate(installation, world)
    assert _person(read_status(installation, None, declared(world))).curated_complete_to == table.complete_to


def test_a_diverged_table_is_no_longer_well(installed: tuple[Installation, World]) -> None:
    installation, world = installed
    _loaded(world)
    now = datetime.now(UTC)
    store = ReconciliationStore(installation.state, "shop")
    store.record(ReconciliationResult(world.name, now, now, source_rows=3, curated_rows=3, in_doubt=1))
    assert read_status(installation, None, declared(world)).well
    store.record(ReconciliationResult(world.name, now, now, source_rows=3, curated_rows=2, missing=1))
    status = read_status(installation, None, declared(world))
    assert _person(status).phase == "diverged"
    assert "dms-assets reload person" in status.problems[0]
    assert _person(status).to_json()["reconciliation"]["missing"] == 1


@dg.asset
def flaky() -> None:
    """Never run: only its runs are looked at."""


@dg.asset
def other() -> None:
    """As above."""


def _run(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, failed: bool = False) -> str:
    """A run as the daemon would have left it."""
    job = dg.Definitions(assets=[flaky, other]).resolve_implicit_global_asset_job_def()
    keys = frozenset(asset.key for asset in assets)
    status = dg.DagsterRunStatus.STARTED if failed else dg.DagsterRunStatus.SUCCESS
    run = instance.create_run_for_job(
        job, asset_selection=keys, status=status, tags={"dagster/sensor_name": "automation"}
    )
    if failed:
        instance.report_run_failed(run, "planted")
    return run.run_id


def test_failed_runs_count_until_a_later_run_makes_it_good(
    installed: tuple[Installation, World], instance: dg.DagsterInstance
) -> None:
    installation, world = installed
    failed = _run(instance, flaky, failed=True)
    status = read_status(installation, instance, declared(world))
    assert [(run.run_id, run.repaired) for run in status.failed_runs] == [(failed, False)]
    assert status.failed_runs[0].what == "automation: flaky"
    assert failed in status.problems[0]
    _run(instance, other)
    assert not read_status(installation, instance, declared(world)).well
    _run(instance, flaky, other)
    status = read_status(installation, instance, declared(world))
    assert [run.repaired for run in status.failed_runs] == [True]
    assert status.well


def test_a_declaration_with_mistakes_is_named(installed: tuple[Installation, World]) -> None:
    installation, world = installed
    file = Path("defs/bad/defs.yaml")
    error = InvalidSourceError([Problem(file, 3, "tabels", "unknown", "correct its spelling")])
    status = read_status(installation, None, (declared(world)[0], {file: error}))
    assert status.problems[0].startswith("bad is not loaded: defs/bad/defs.yaml:3")


def test_the_json_is_whole_and_of_a_known_version(installed: tuple[Installation, World]) -> None:
    installation, world = installed
    world.land(load_file_name(1), load_table(rows(1)))
    document = json.loads(json.dumps(read_status(installation, None, declared(world)).to_json()))
    assert document["v"] == 1
    assert document["sources"][0]["tables"][0]["pending"]["files"] == 1
