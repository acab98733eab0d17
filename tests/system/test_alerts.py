"""Alerts on the whole stack: what goes wrong at once is one digest, each cause once; its end is told too."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from dms_assets.alerts.pace import Pace
from dms_assets.cli import cli
from dms_assets.dms import control
from dms_assets.dms.task_reader import task_identifier
from dms_assets.model.names import Layer, TableName
from dms_assets.pipeline.alerting.reading import Look
from dms_assets.pipeline.alerting.sensor import look_and_tell
from dms_assets.pipeline.keys import table_key
from tests.system.conftest import System

pytestmark = [pytest.mark.postgres, pytest.mark.system, pytest.mark.timeout(600)]

REGION, PAYMENT = TableName("probation", "region"), TableName("probation", "payment")
ALERTS = "alerts"


def told(system: System) -> list[dict[str, str]]:
    """Each digest in the file: cause id -> news."""
    file = system.stack.environment.alerts_dir / "alerts.jsonl"
    lines = file.read_text().splitlines() if file.is_file() else []
    return [{item["id"]: item["news"] for item in json.loads(line)["items"]} for line in lines]


def look_later(system: System, wait: timedelta) -> None:
    repository = system.drive.definitions.get_repository_def()
    sources = {system.spec.name: system.spec}
    look = Look(system.drive.instance, system.installation, repository, sources, datetime.now(UTC) + wait)
    look_and_tell(look, system.installation.alert_sinks, Pace())


def test_each_cause_is_told_once_and_its_end_too(system: System) -> None:
    system.load()
    system.drive.tick(ALERTS)
    before = told(system)
    assert not before, "a healthy system says nothing"
    listed = CliRunner().invoke(cli, ["alerts"])
    assert (listed.exit_code, listed.output[:16]) == (0, "nothing is wrong")

    secret = system.stack.environment.secret_path(system.spec.connection.secret)
    good = secret.read_text()
    # The task first: it would tell of the name too.
    control.stop(system.client, system.task)
    system.execute("alter table probation.region rename to region_away")
    system.drive.tick("probation_source_sensor")
    secret.write_text(good.replace(system.postgres.connection_info.password, "wrong-one"))
    metadata = table_key(system.spec.name, Layer.METADATA, PAYMENT)
    for _ in range(2):
        assert not system.drive.run([metadata], None, {}).success
    system.drive.tick("probation_dms_sensor")

    causes = {
        "run:probation:probation_metadata",
        "check:probation:probation/source/probation/region:present",
        f"task:probation:{task_identifier('probation')}",
    }
    for _ in range(2):
        system.drive.tick(ALERTS)
    assert told(system) == [dict.fromkeys(causes, "new")], "one digest, and nothing twice"
    text = (system.stack.environment.alerts_dir / "alerts.txt").read_text()
    assert "2 times" in text
    assert "SourceUnreachableError" in text
    assert "dms-assets task start probation" in text
    assert "wrong-one" not in text
    listed = CliRunner().invoke(cli, ["alerts", "--json"])
    assert listed.exit_code == 1
    assert {row["id"] for row in json.loads(listed.output)["open"]} == causes

    secret.write_text(good)
    assert system.drive.run([metadata], None, {}).success
    system.execute("alter table probation.region_away rename to region")
    system.drive.tick("probation_source_sensor")
    control.start(system.client, system.task)
    system.drive.tick("probation_dms_sensor")
    system.drive.tick(ALERTS)
    assert len(told(system)) == 1, "it may come back"
    look_later(system, timedelta(minutes=3))
    assert told(system)[1:] == [dict.fromkeys(causes, "over")]
    listed = CliRunner().invoke(cli, ["alerts"])
    assert listed.exit_code == 0
    assert listed.output.count("OVER") == 3
