"""Dagster's storage with connections that stay open: same contents, safe from a process's death, few files open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

from dms_assets.stack import instance_storage
from dms_assets.stack.dagster_instance import prepare

REPORT_AND_DIE = """
import os, signal, sys
import dagster as dg
instance = dg.DagsterInstance.from_config(sys.argv[1])
for number in range(20):
    instance.report_runless_asset_event(dg.AssetMaterialization("a", metadata={"number": number}))
print("reported", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@dg.op
def nothing() -> None:
    return None


@dg.job
def empty() -> None:
    nothing()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    prepare(tmp_path / "dagster")
    return tmp_path / "dagster"


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as opened:
        yield opened


def numbers(instance: dg.DagsterInstance) -> list[object]:
    records = instance.fetch_materializations(dg.AssetKey("a"), limit=100).records
    return [record.asset_materialization.metadata["number"].value for record in reversed(records)]  # type: ignore[union-attr]


def test_the_names_of_dagster_that_are_overridden_are_there() -> None:
    for stock, ours, method in (
        (SqliteRunStorage, instance_storage.RunStorage, "connect"),
        (SqliteScheduleStorage, instance_storage.ScheduleStorage, "connect"),
        (SqliteEventLogStorage, instance_storage.EventLogStorage, "_connect"),
    ):
        assert method in vars(stock)
        assert method in vars(ours)
    assert {"_event_log_storage", "_run_storage", "_schedule_storage"} <= set(
        DagsterSqliteStorage.__init__.__code__.co_names
    )


def test_a_stack_uses_it(instance: dg.DagsterInstance) -> None:
    assert type(instance.event_log_storage) is instance_storage.EventLogStorage
    assert type(instance.run_storage) is instance_storage.RunStorage
    assert type(instance.schedule_storage) is instance_storage.ScheduleStorage


def test_the_stock_storage_reads_what_it_wrote(home: Path, instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization("a", metadata={"number": 7}))
    done = empty.execute_in_process(instance=instance)
    logs = len(instance.all_logs(done.run_id))
    settings = (home / "dagster.yaml").read_text(encoding="utf-8")
    (home / "dagster.yaml").write_text(settings[settings.index("python_logs:") :], encoding="utf-8")
    with dg.DagsterInstance.from_config(str(home)) as stock:
        assert type(stock.event_log_storage) is SqliteEventLogStorage
        assert numbers(stock) == [7]
        assert len(stock.all_logs(done.run_id)) == logs > 0


def test_what_was_stored_survives_the_process(home: Path, instance: dg.DagsterInstance) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REPORT_AND_DIE, str(home)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "reported\n"
    assert done.returncode == -signal.SIGKILL
    assert numbers(instance) == list(range(20))


def test_a_forked_process_opens_its_own(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization("a", metadata={"number": 1}))
    child = os.fork()
    if child == 0:
        held = len(instance_storage._lasting)
        instance.report_runless_asset_event(dg.AssetMaterialization("a", metadata={"number": 2}))
        os._exit(held)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    instance.report_runless_asset_event(dg.AssetMaterialization("a", metadata={"number": 3}))
    assert numbers(instance) == [1, 2, 3]


def test_databases_of_runs_do_not_stay_open_for_ever(home: Path, instance: dg.DagsterInstance) -> None:
    runs = [empty.execute_in_process(instance=instance).run_id for _ in range(instance_storage.RUN_DATABASES_OPEN + 3)]
    opened = {Path(file.path).stem for file in psutil.Process().open_files() if file.path.startswith(str(home))}
    assert len(opened & set(runs)) <= instance_storage.RUN_DATABASES_OPEN
    assert runs[-1] in opened
    # One that was closed is opened again.
    assert len(instance.all_logs(runs[0])) == len(instance.all_logs(runs[-1])) > 0
