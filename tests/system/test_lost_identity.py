"""A table that loses its replica identity under the running task, as the pipeline tells of it, until it is mended."""

from __future__ import annotations

import dagster as dg
import psycopg
import pytest

from dms_assets.dms import control
from dms_assets.dms.task_reader import read_task
from dms_assets.model.names import Layer, TableName
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.sensors.dms import Trouble
from tests.local_dms.service import until
from tests.system.conftest import System
from tests.system.test_main_path import latest_check

pytestmark = [pytest.mark.postgres, pytest.mark.system, pytest.mark.timeout(300)]

REGION, PAYMENT = TableName("probation", "region"), TableName("probation", "payment")
UPDATE = "update probation.region set population = coalesce(population, 0) + 1"


def _told(system: System, name: TableName) -> dg.AssetCheckEvaluation:
    """What the sensor says of a table now."""
    system.drive.tick(f"{system.spec.name}_dms_sensor")
    return latest_check(system, table_key(system.spec.name, Layer.LANDING, name))


def _works(system: System) -> bool:
    try:
        system.execute(UPDATE)
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return False
    return True


def test_a_table_whose_identity_is_lost_is_told_as_suspended_until_it_is_reloaded(system: System) -> None:
    system.drive.settle(system.spec.name)
    system.provision()
    control.start(system.client, system.task)
    until(system.loaded)
    assert _told(system, REGION).passed
    system.execute("alter table probation.region replica identity nothing")
    assert not _works(system), "the source is harmed for a moment"
    until(lambda: _works(system), 10)
    until(lambda: not system.loaded())
    told = _told(system, REGION)
    assert not told.passed
    assert told.metadata["trouble"].value == Trouble.TABLE_SUSPENDED.value
    assert "remove the cause, reload the table" in str(told.metadata["remedy"].value)
    assert _told(system, PAYMENT).passed
    system.execute("alter table probation.region replica identity default")
    assert not _told(system, REGION).passed, "what was lost is not made up for yet"
    control.reload_tables(system.client, system.task, [REGION])
    until(system.loaded)
    assert _told(system, REGION).passed
    before = read_task(system.client, system.task).tables[REGION].updates
    assert _works(system)
    system.flush()
    assert read_task(system.client, system.task).tables[REGION].updates > before
