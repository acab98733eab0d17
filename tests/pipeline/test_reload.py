"""A reload is asked for with a reason, kept, sent to DMS as it takes it, and refused where it would be wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import dagster as dg
import pytest
import yaml
from botocore.stub import Stubber
from click.testing import CliRunner

from dms_assets.cli import cli
from dms_assets.dms.control import TaskStateError
from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.lake.task_memory import StreamStore
from dms_assets.model.names import TableName
from dms_assets.model.task_state import TABLE_COMPLETED, TABLE_ERROR, TableState, TaskState
from dms_assets.pipeline.declared_tables import UnknownTableError, declared_tables
from dms_assets.pipeline.reconciliation import reload as reload_module
from dms_assets.pipeline.reconciliation.reload import (
    LoadsBefore,
    ReloadNotDoneError,
    ReloadRefusedError,
    ReloadStore,
    carry_out,
    plan_reload,
)
from dms_assets.pipeline.reconciliation.reload_job import build_reload_job, reload_page
from tests.lake.world import source_spec

PERSON, NOTE = TableName("app", "person"), TableName("app", "note")
ARN = "arn:aws:dms:eu-west-2:1:task:ABC"


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(Environment(home=tmp_path))


@pytest.fixture
def dms() -> Iterator[tuple[Any, Stubber]]:
    client = boto3.client("dms", region_name="eu-west-2", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


def describes(stub: Stubber, status: str, *, started: bool = True) -> None:
    statistics = {"FreshStartDate": datetime(2026, 1, 1, tzinfo=UTC)} if started else {}
    task = {
        "ReplicationTaskArn": ARN,
        "ReplicationTaskIdentifier": "dms-assets-shop",
        "Status": status,
        "ReplicationTaskStats": statistics,
    }
    stub.add_response("describe_replication_tasks", {"ReplicationTasks": [task]})


def test_tables_are_found_by_either_name_and_unknown_ones_are_all_told() -> None:
    spec = source_spec()
    assert declared_tables(spec, ["app.note", "person", "note"]) == [NOTE, PERSON]
    with pytest.raises(UnknownTableError, match=r"no table Note, other\.person; name some of these: person, note"):
        declared_tables(spec, ["person", "other.person", "Note"])


@pytest.mark.parametrize(
    ("tables", "reason", "fresh", "told"),
    [
        (["person"], " ", False, "needs a reason"),
        ([], "why", False, "no table is named"),
        (["person"], "why", True, "name no tables"),
    ],
)
def test_what_makes_no_sense_is_refused(tables: list[str], reason: str, fresh: bool, told: str) -> None:
    with pytest.raises(ReloadRefusedError, match=told):
        plan_reload(source_spec(), tables, reason, "me", fresh_stream=fresh)


def test_a_reload_waits_for_twice_the_skew_of_the_clocks_and_is_kept(
    installation: Installation, dms: tuple[Any, Stubber]
) -> None:
    """The boundary is DMS's start time less the skew: changes lost up to the request must lie before it."""
    client, stub = dms
    paused: list[float] = []
    for skew in (60, 0):
        spec = source_spec(clock_skew_s=skew)
        reload = plan_reload(spec, ["person"], " TRUNCATE ", "me")
        describes(stub, "running")
        stub.add_response(
            "reload_tables",
            {"ReplicationTaskArn": ARN},
            {"ReplicationTaskArn": ARN, "TablesToReload": [{"SchemaName": "app", "TableName": "person"}]},
        )
        carry_out(installation, spec, client, reload, say=lambda _: None, pause=paused.append)
    assert paused == [120]
    kept = ReloadStore(installation.state, "shop").reloads()
    assert [(reload.tables, reload.reason, reload.by) for reload in kept] == [((PERSON,), "TRUNCATE", "me")] * 2


def test_a_task_that_does_not_run_reloads_nothing(installation: Installation, dms: tuple[Any, Stubber]) -> None:
    client, stub = dms
    describes(stub, "failed")
    spec = source_spec(clock_skew_s=0)
    with pytest.raises(TaskStateError, match="is failed"):
        carry_out(installation, spec, client, plan_reload(spec, ["note"], "why", "me"), say=lambda _: None)


def test_a_fresh_stream_stops_the_task_and_starts_it_with_reload_target(
    installation: Installation, dms: tuple[Any, Stubber]
) -> None:
    client, stub = dms
    describes(stub, "running")
    stub.add_response("stop_replication_task", {}, {"ReplicationTaskArn": ARN})
    describes(stub, "stopped")
    describes(stub, "stopped")
    stub.add_response(
        "start_replication_task", {}, {"ReplicationTaskArn": ARN, "StartReplicationTaskType": "reload-target"}
    )
    describes(stub, "running")
    spec = source_spec()
    reload = plan_reload(spec, [], "the slot was lost", "me", fresh_stream=True)
    assert reload.tables == (PERSON, NOTE)
    carry_out(installation, spec, client, reload, say=lambda _: None, pause=lambda _: pytest.fail("it waits"))
    describes(stub, "ready", started=False)
    describes(stub, "ready", started=False)
    with pytest.raises(TaskStateError, match="never started"):
        carry_out(installation, spec, client, reload, say=lambda _: None)


def test_a_fresh_stream_says_which_loads_it_writes_over_unread(
    installation: Installation, dms: tuple[Any, Stubber]
) -> None:
    """Two streams at once: the first one's loads are gone before anything reads them, and with them what they told."""
    client, stub = dms
    spec = source_spec()
    reload = plan_reload(spec, [], "the slot was lost", "me", fresh_stream=True)
    told: list[str] = []
    for times in (1, 2):
        describes(stub, "stopped")
        describes(stub, "stopped")
        stub.add_response("start_replication_task", {})
        describes(stub, "running")
        told.clear()
        carry_out(installation, spec, client, reload, say=told.append)
        assert ["never taken in, of person, note" in line for line in told] == [True, False][2 - times :]
        StreamStore(installation.state, spec.name).register(
            TaskState(ARN, "dms-assets-shop", "running", fresh_start=datetime(2026, 1, 1, tzinfo=UTC))
        )


def test_waiting_for_a_load_that_does_not_come_says_so(installation: Installation) -> None:
    spec = source_spec()
    before = LoadsBefore.read(installation, spec, [PERSON])
    with pytest.raises(ReloadNotDoneError, match=r"waiting for the load of app\.person; the reload goes on"):
        before.wait_for_new(installation, spec, task=lambda: task("running"), timeout_s=0, say=lambda _: None)


def task(status: str, state: str = TABLE_COMPLETED, failure: str | None = None) -> TaskState:
    tables = {PERSON: TableState(PERSON, state)}
    return TaskState(ARN, "dms-assets-shop", status, failure=failure, tables=tables)


def test_a_reload_that_dms_refuses_is_told_and_not_waited_for(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = source_spec()
    before = LoadsBefore.read(installation, spec, [PERSON])

    def wait(*states: TaskState | None) -> None:
        looks = iter(states)
        before.wait_for_new(
            installation, spec, task=lambda: next(looks), timeout_s=60, say=lambda _: None, pause=lambda _: None
        )

    with pytest.raises(ReloadRefusedError, match="task dms-assets-shop is failed: the slot is lost"):
        wait(task("running"), task("failed", failure="the slot is lost"))
    # What was wrong before the request is still shown for a moment.
    monkeypatch.setattr(reload_module, "REFUSED_AFTER_S", 0.05)
    moment = task("running", TABLE_ERROR)
    with pytest.raises(StopIteration):
        wait(moment, task("running", "Table is being reloaded"), None, moment, task("running"))

    def slowly() -> Iterator[TaskState]:
        while True:
            yield moment
            time.sleep(0.02)

    looks = slowly()
    with pytest.raises(ReloadRefusedError, match=r"DMS does not load app\.person: .* the events of task .* say why"):
        before.wait_for_new(
            installation, spec, task=lambda: next(looks), timeout_s=60, say=lambda _: None, pause=lambda _: None
        )


def test_the_job_is_launched_with_tables_and_a_reason_from_its_page() -> None:
    spec = source_spec()
    job = build_reload_job(spec)
    page = urlsplit(reload_page("shop", PERSON))
    assert page.path == "/locations/dms_assets/jobs/shop_reload/playground/setup"
    config = yaml.safe_load(parse_qs(page.query)["config"][0])
    assert dg.validate_run_config(job, config)
    assert config["ops"]["shop_reload_tables"]["config"]["tables"] == ["person"]
    assert job.run_config is not None
    assert dg.validate_run_config(job, dict(job.run_config))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no_such", "--reason", "why"], "declares no table no_such"),
        (["region", "--reason", " "], "needs a reason"),
        (["region"], "Missing option '--reason'"),
        (["region", "--reason", "why", "--source", "nowhere"], "no source 'nowhere'"),
    ],
)
def test_the_command_refuses_with_status_2(arguments: list[str], told: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["reload", "--home", str(tmp_path), *arguments])
    assert result.exit_code == 2
    assert told in result.output
