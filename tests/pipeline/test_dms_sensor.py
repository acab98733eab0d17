"""What the check `captured` says, in the sensor and on demand; a DMS that is away fails the tick, and only that."""

from dataclasses import replace
from pathlib import Path

import boto3
import dagster as dg
import pytest
from moto import mock_aws

from dms_assets.dms.task_reader import TaskNotFoundError, task_identifier
from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.local_dms.gaps import Gap, GapError, Lost
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.task_state import TABLE_COMPLETED, TABLE_ERROR, TableState, TaskState
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.resources import DmsResource
from dms_assets.pipeline.sensors.dms import Trouble, build_capture_checks, build_dms_sensor, captured_result
from dms_assets.pipeline.task_poll import DmsUnreachableError

T = TableName("s", "t")
SPEC = SourceSpec.model_validate(
    {"name": "src", "engine": "postgres", "connection": {"secret": "x"}, "schema": "s", "tables": ["t", "u"]}
)
VARIABLE = "AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE"


def task(status: str, *states: TableState) -> TaskState:
    return TaskState("arn", "name", status, tables={state.name: state for state in states})


@pytest.mark.parametrize(
    ("found", "trouble"),
    [
        (task("running", TableState(T, TABLE_COMPLETED)), None),
        (task("starting"), None),
        (task("running", TableState(T, TABLE_ERROR)), Trouble.TABLE_SUSPENDED),
        (task("running"), Trouble.TABLE_NOT_CAPTURED),
        (task("stopped", TableState(T, TABLE_ERROR)), Trouble.TASK_NOT_RUNNING),
        (task("failed"), Trouble.TASK_FAILED),
        (task("ready"), Trouble.TASK_NOT_STARTED),
        (TaskNotFoundError("name"), Trouble.TASK_MISSING),
    ],
)
def test_each_trouble_is_named_with_its_remedy(found: TaskState | TaskNotFoundError, trouble: Trouble | None) -> None:
    result = captured_result(SPEC, T, found)
    assert result["passed"] is (trouble is None)
    assert result["metadata"].get("trouble") == trouble
    assert bool(result["metadata"].get("remedy")) is (trouble is not None)
    dg.AssetCheckResult(**result)
    dg.AssetCheckEvaluation(**result)


def test_a_broken_stream_asks_for_a_new_one_as_no_resume_helps() -> None:
    lost = GapError(Gap.SLOT_MISSING, "slot s is missing", Lost(1, 2))
    result = captured_result(SPEC, T, replace(task("failed"), failure=f"Last Error {lost}"))
    assert result["metadata"]["trouble"] == Trouble.TASK_FAILED
    for told in ("slot missing", "0/1 to 0/2", "dms-assets reload --fresh-stream --source src"):
        assert told in result["metadata"]["remedy"]
    assert "task start" not in result["metadata"]["remedy"]


@pytest.fixture
def dms(monkeypatch: pytest.MonkeyPatch) -> DmsResource:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    return DmsResource(region_name="eu-west-2", max_attempts=1)


def tick(dms: DmsResource, home: Path, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    sensor = build_dms_sensor(SPEC)
    resources = {"installation": Installation(Environment(home=home)), "dms": dms}
    with dg.build_sensor_context(cursor=cursor, resources=resources) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def test_a_task_that_is_not_there_is_told_once_and_on_demand(dms: DmsResource, tmp_path: Path) -> None:
    with mock_aws():
        first = tick(dms, tmp_path)
        assert isinstance(first, dg.SensorResult)
        told = [event for event in first.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
        assert [(event.asset_key.path[3], event.passed) for event in told] == [("t", False), ("u", False)]
        assert task_identifier("src") in str(told[0].metadata["remedy"].value)
        assert isinstance(tick(dms, tmp_path, first.cursor), dg.SkipReason)
        specs = [dg.AssetSpec(table_key("src", Layer.LANDING, name)) for name in SPEC.table_names]
        checks = build_capture_checks(SPEC, specs)
        result = dg.materialize(
            [*specs, checks], selection=dg.AssetSelection.all_asset_checks(), resources={"dms": dms}
        )
        assert [check.passed for check in result.get_asset_check_evaluations()] == [False, False]


def test_a_dms_that_does_not_answer_fails_the_tick_and_the_next_one_recovers(
    dms: DmsResource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, "http://127.0.0.1:9")
        with pytest.raises(DmsUnreachableError, match="DMS does not answer"):
            tick(DmsResource(region_name="eu-west-2", max_attempts=1), tmp_path)
    with mock_aws():
        boto3.client("dms", region_name="eu-west-2")
        assert isinstance(tick(dms, tmp_path), dg.SensorResult)
