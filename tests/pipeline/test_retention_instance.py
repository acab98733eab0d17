"""Old runs and events go; what an asset's state, a check's status and automation rest on stays."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable

from dms_assets.pipeline.automation import follow
from dms_assets.pipeline.retention.instance import InstanceRetention
from dms_assets.pipeline.retention.settings import RetentionSettings

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=30)
"""When everything of today is old."""


@dg.asset(check_specs=[dg.AssetCheckSpec("right", asset="table")])
def table(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    print("a line for the compute log")  # noqa: T201
    passed = not context.run.tags.get("wrong")
    result = dg.AssetCheckResult(passed=passed, check_name="right")
    yield dg.MaterializeResult(metadata={"run": context.run_id}, check_results=[result])


@dg.asset(deps=[table], automation_condition=follow())
def mart() -> None:
    """Follows the table."""


LANDING = dg.AssetSpec("landing", automation_condition=None)
DEFINITIONS = dg.Definitions(assets=[LANDING, table, mart], executor=dg.in_process_executor)
CHECK = dg.AssetCheckKey(dg.AssetKey("table"), "right")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


def run(instance: dg.DagsterInstance, *keys: str, tags: dict[str, str] | None = None) -> str:
    job = DEFINITIONS.resolve_implicit_global_asset_job_def()
    selection = [dg.AssetKey(key) for key in keys]
    return job.execute_in_process(instance=instance, asset_selection=selection, tags=tags).run_id


def retention(instance: dg.DagsterInstance, **settings: int) -> InstanceRetention:
    return InstanceRetention(instance, RetentionSettings(**settings), LATER)  # type: ignore[arg-type]


def latest_check(instance: dg.DagsterInstance) -> tuple[str, str]:
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK])[CHECK]
    return found.run_id, found.status.value


def count(instance: dg.DagsterInstance, table: sa.Table) -> int:
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        found: int = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        return found


def test_runs_go_but_for_those_that_say_what_is(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    old = [run(instance, "table", tags={"wrong": "yes"} if number == 2 else {}) for number in range(3)]
    mart_run = run(instance, "mart")
    before = latest_check(instance)
    assert before == (old[2], "FAILED")
    shards = tmp_path / "history" / "runs"
    assert (shards / f"{old[0]}.db").exists()
    removed = retention(instance).remove_runs()
    assert removed.count == 2
    assert removed.size > 2 * 50_000
    assert {r.run_id for r in instance.get_runs()} == {old[2], mart_run}
    assert {path.name for path in shards.glob("*-*.db*")} == {f"{old[2]}.db", f"{mart_run}.db"}
    assert latest_check(instance) == before
    event = instance.get_latest_materialization_event(dg.AssetKey("table"))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["run"].value == old[2]
    left = instance.fetch_materializations(dg.AssetKey("table"), limit=10).records
    assert [record.run_id for record in left] == [old[2]]


def test_no_more_runs_than_are_kept_however_young(instance: dg.DagsterInstance) -> None:
    runs = [run(instance, "table") for _ in range(4)]
    settings = RetentionSettings(runs_kept=3)
    assert InstanceRetention(instance, settings, NOW).remove_runs().count == 1
    assert [r.run_id for r in instance.get_runs()] == runs[:0:-1]


def test_automation_asks_for_nothing_after_retention(instance: dg.DagsterInstance) -> None:
    """Deleted runs and events must not look like news, or like something missing."""
    first = dg.evaluate_automation_conditions(DEFINITIONS, instance)
    assert first.total_requested == 0
    run(instance, "table")
    asked = dg.evaluate_automation_conditions(DEFINITIONS, instance, cursor=first.cursor)
    assert asked.total_requested == 1
    run(instance, "mart")
    for _ in range(2):
        run(instance, "table")
        run(instance, "mart")
    settled = dg.evaluate_automation_conditions(DEFINITIONS, instance, cursor=asked.cursor)
    settled = dg.evaluate_automation_conditions(DEFINITIONS, instance, cursor=settled.cursor)
    assert settled.total_requested == 0
    assert retention(instance).remove_runs().count == 4
    assert count(instance, AssetCheckExecutionsTable) == 1, "results of deleted runs, but the latest"
    after = dg.evaluate_automation_conditions(DEFINITIONS, instance, cursor=settled.cursor)
    assert after.total_requested == 0
    run(instance, "table")
    assert dg.evaluate_automation_conditions(DEFINITIONS, instance, cursor=after.cursor).total_requested == 1


def test_events_without_a_run_go_but_for_the_latest_of_each_kind(instance: dg.DagsterInstance) -> None:
    key = dg.AssetKey("landing")
    for number in range(20):
        tags = {"dagster/data_version": str(number)}
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata={"n": number}, tags=tags))
        instance.report_runless_asset_event(dg.AssetObservation(key, metadata={"n": number}))
        evaluation = dg.AssetCheckEvaluation(asset_key=key, check_name="whole", passed=number % 2 == 0)
        instance.report_runless_asset_event(evaluation)
    old = count(instance, SqlEventLogStorageTable)
    assert retention(instance, dry_run=1).remove_events().count == 20 * 3 - 2
    assert count(instance, SqlEventLogStorageTable) == old, "a dry run removes nothing"
    assert retention(instance).remove_events().count == 20 * 3 - 2
    assert retention(instance).remove_checks().count == 19
    assert count(instance, AssetCheckExecutionsTable) == 1
    for fetch in (instance.fetch_materializations, instance.fetch_observations):
        (record,) = fetch(key, limit=10).records
        event = record.asset_materialization or record.asset_observation
        assert event is not None
        assert event.metadata["n"].value == 19
    check = dg.AssetCheckKey(key, "whole")
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])[check]
    assert found.status.value == "FAILED"
    assert retention(instance).remove_events().count == 0
    assert instance.get_latest_data_version_record(key) is not None


def test_young_events_stay(instance: dg.DagsterInstance) -> None:
    for _ in range(3):
        instance.report_runless_asset_event(dg.AssetMaterialization("landing"))
    run(instance, "table")
    young = InstanceRetention(instance, RetentionSettings(), NOW)
    assert [remove().count for _, remove in young.kinds()] == [0, 0, 0, 0]


def test_logs_of_old_ticks_go_and_those_of_runs_stay(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run_id = run(instance, "table")
    mine = tmp_path / "storage" / run_id / "compute_logs" / "x.out"
    tick = tmp_path / "storage" / "location" / "sensor" / "1.err"
    for path in (mine, tick):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("log")
    os.utime(tick, (1, 1))
    assert retention(instance).remove_tick_logs().count == 1
    assert (mine.exists(), tick.exists()) == (True, False)
