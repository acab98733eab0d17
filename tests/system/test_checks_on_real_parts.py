"""Freshness and DMS's statistics on real parts: all agree on a whole table, and a file that is lost is found."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from dms_assets.dms.task_reader import read_task
from dms_assets.model.landed_file import cdc_file_name
from dms_assets.model.names import Layer, TableName
from dms_assets.pipeline.checks import dms_statistics_checks
from dms_assets.pipeline.checks.dms_statistics_checks import STATISTICS_CHECK
from dms_assets.pipeline.checks.freshness import FRESH_CHECK, FRESH_LAYERS
from dms_assets.pipeline.keys import table_key
from tests.local_dms.service import until
from tests.system.conftest import System
from tests.system.test_main_path import latest_check

pytestmark = [pytest.mark.postgres, pytest.mark.system, pytest.mark.timeout(600)]
REGION = TableName("probation", "region")
LOG = TableName("probation", "audit_event")
CHANGE = "update probation.region set population = coalesce(population, 0) + 1"


def update_all(system: System, expected: int) -> None:
    """Change all twelve regions, and have the changes in landing."""
    system.execute(CHANGE)
    until(lambda: read_task(system.client, system.task).tables[REGION].updates >= expected)
    system.flush()


def compared(system: System, told: str, table: TableName = REGION) -> bool:
    """Whether the statistics sensor, ticked once with what it depends on, has said so of the table."""
    for sensor in ("dms", "statistics"):
        system.drive.tick(f"{system.spec.name}_{sensor}_sensor")
    key = table_key(system.spec.name, Layer.VALIDATED, table)
    try:
        return told in str(latest_check(system, key, STATISTICS_CHECK).metadata["found"].value)
    except KeyError:
        return False


def test_rows_agree_with_dms_until_a_file_is_lost(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dms_statistics_checks, "LOOK_EVERY", timedelta(0))
    system.load()
    update_all(system, 12)
    system.drive.settle(system.spec.name, 6)
    until(lambda: compared(system, "12 rows of the load; 0 inserts, 12 updates, 0 deletes; they agree"), 120)
    key = table_key(system.spec.name, Layer.VALIDATED, REGION)
    assert latest_check(system, key, STATISTICS_CHECK).passed

    system.drive.tick(f"{system.spec.name}_freshness_sensor")
    for layer in FRESH_LAYERS:
        fresh = latest_check(system, table_key(system.spec.name, layer, REGION), FRESH_CHECK)
        assert fresh.passed, fresh.metadata
    judged = latest_check(system, key, "order")
    assert (judged.passed, judged.metadata["failing"].value) == (True, 0)

    update_all(system, 24)
    landed = list((system.stack.environment.landing_dir / "probation" / "probation" / "region").glob("*.parquet"))
    assert landed, "the changes are in landing, and are lost there"
    for file in landed:
        file.unlink()
    until(lambda: compared(system, "12 updates are missing"), 120)
    lost = latest_check(system, key, STATISTICS_CHECK)
    assert not lost.passed
    assert "reload it" in str(lost.metadata["remedy"].value)


def test_a_log_whose_rows_are_delivered_again_agrees(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key each row is its own: more of them than DMS counted is what "at least once" means."""
    monkeypatch.setattr(dms_statistics_checks, "LOOK_EVERY", timedelta(0))
    system.load()
    system.execute(f"insert into {LOG} select * from {LOG} limit 3")
    until(lambda: read_task(system.client, system.task).tables[LOG].inserts == 3)
    system.flush()
    folder = system.stack.environment.landing_dir / "probation" / LOG.schema / LOG.table
    (file,) = folder.glob("2*.parquet")
    shutil.copyfile(file, folder / cdc_file_name(datetime.now(UTC)))
    system.drive.settle(system.spec.name, 6)
    until(lambda: compared(system, "6 inserts, 0 updates, 0 deletes", LOG), 120)
    judged = latest_check(system, table_key(system.spec.name, Layer.VALIDATED, LOG), STATISTICS_CHECK)
    assert judged.passed, judged.metadata
