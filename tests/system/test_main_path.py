"""The main path on real parts: source to curated, faults beside it; what is held, what flows, what is said."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from dms_assets.cli import cli
from dms_assets.curation.warehouse import open_published
from dms_assets.demo.evidence import table_evidence
from dms_assets.demo.planted_files import plant_corrupt_file, plant_retyped_file
from dms_assets.demo.recording import record_instant
from dms_assets.dms import control
from dms_assets.dms.task_reader import read_task
from dms_assets.lake.quarantine import EntryState, Quarantine
from dms_assets.model.failpoints import KILLED_STATUS
from dms_assets.model.names import Layer, TableName
from dms_assets.pipeline.checks.hold import held, judge, read_summaries
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.sensors.dms import CAPTURE_CHECK
from dms_assets.pipeline.sensors.landing_folder import UNDECLARED_CHECK, folder_key
from dms_assets.pipeline.status.progress import read_progress
from dms_assets.reconcile.compare import compare
from dms_assets.sample.commit_gate import CommitGate
from tests.local_dms.service import until
from tests.system.conftest import System

pytestmark = [pytest.mark.postgres, pytest.mark.system, pytest.mark.timeout(600)]

ADDRESS, PAYMENT, REGION = (TableName("probation", name) for name in ("address", "payment", "region"))


def assert_equal_to_the_source(system: System, folder: Path) -> None:
    tables = list(system.installation.known_metadata(system.spec).values())
    state = record_instant(system.postgres.dsn, CommitGate(), tables, folder)
    found = compare(state, system.stack.environment.published_file, system.spec.name, tables, as_of=False)
    assert found.equal, [table.to_json() for table in found.unequal]
    assert len(found.tables) == len(system.spec.tables)


def test_load_changes_bad_files_and_release(system: System, tmp_path: Path) -> None:
    system.load()
    assert not system.drive.failures
    assert_equal_to_the_source(system, tmp_path / "loaded")

    system.execute(
        "update probation.address set town = 'Elsewhere' where address_id % 2 = 0",
        "update probation.payment set amount = amount + 1",
        "delete from probation.payment where payment_id in (select min(payment_id) from probation.payment)",
        "update probation.region set population = coalesce(population, 0) + 1",
    )
    bucket = system.stack.environment.landing_dir
    plant_corrupt_file(bucket, system.spec, ADDRESS)
    metadata = system.installation.known_metadata(system.spec)
    plant_retyped_file(bucket, system.spec, metadata[PAYMENT])
    stranger = bucket / "probation" / "probation" / "no_such_table" / "LOAD00000001.parquet"
    stranger.parent.mkdir()
    stranger.write_bytes(b"PAR1")
    until(lambda: read_task(system.client, system.task).tables[REGION].updates >= 12)
    system.flush()
    before = {item.name: item.curated_batch for item in read_progress(system.installation, system.spec)}
    system.drive.settle(system.spec.name, 6)

    quarantine = Quarantine(system.installation.quarantine, system.spec.name)
    reasons = {entry.table: quarantine.report(entry).reason.value for entry in quarantine.entries()}
    assert reasons == {ADDRESS: "unreadable", PAYMENT: "schema"}
    assert stranger.exists(), "a file of an undeclared table waits for its declaration"
    told = latest_check(system, folder_key(system.spec.name), UNDECLARED_CHECK)
    assert not told.passed
    assert "probation.no_such_table: 1 files" in str(told.metadata["found"].value)
    assert held_now(system) == {ADDRESS, PAYMENT}
    after = {item.name: item for item in read_progress(system.installation, system.spec)}
    assert after[REGION].curated_batch > before[REGION]
    for name in (ADDRESS, PAYMENT):
        assert after[name].batch > before[name], "good files of a held table are taken in"
        assert after[name].curated_batch == before[name], "its curated relations stay as they are"
    assert not system.drive.failures, "what a run finds in files does not turn it red"

    materialise_by_hand(system, PAYMENT)
    assert {p.name: p.curated_batch for p in read_progress(system.installation, system.spec)}[PAYMENT] == before[
        PAYMENT
    ]

    for entry in quarantine.entries():
        result = CliRunner().invoke(cli, ["quarantine", "discard", entry.entry_id, "--reason", "planted"])
        assert result.exit_code == 0, result.output
    assert {entry.state for entry in quarantine.entries()} == {EntryState.DONE}
    system.drive.settle(system.spec.name, 6)
    assert not held_now(system)
    assert_equal_to_the_source(system, tmp_path / "released")


def held_now(system: System) -> set[TableName]:
    summaries = read_summaries(system.installation, system.spec, system.spec.table_names)
    return held(judge(system.installation, system.spec, summaries))


def materialise_by_hand(system: System, name: TableName) -> None:
    """«Materialise all» on a held table must not push it past its hold."""
    keys = [table_key(system.spec.name, Layer.CURATED, TableName(name.schema, r)) for r in (f"{name.table}_versions",)]
    assert system.drive.run(keys, [], {}).success


def test_the_same_rows_twice_change_nothing(system: System, tmp_path: Path) -> None:
    system.load()
    keys = [table_key(system.spec.name, Layer.VALIDATED, name) for name in system.spec.table_names]
    before = {item.name: item.batch for item in read_progress(system.installation, system.spec)}
    assert system.drive.run(keys, [], {}).success
    assert {item.name: item.batch for item in read_progress(system.installation, system.spec)} == before
    with open_published(system.stack.environment.published_file) as connection:
        rows = connection.execute("select count(*) from probation_probation_curated.region_versions").fetchone()
    curated = system.definitions_of_dbt()
    assert system.drive.run(curated, [], {}).success
    with open_published(system.stack.environment.published_file) as connection:
        assert connection.execute("select count(*) from probation_probation_curated.region_versions").fetchone() == rows
    assert_equal_to_the_source(system, tmp_path / "again")


def test_a_stopped_task_is_told_with_the_remedy_and_resumes(system: System, tmp_path: Path) -> None:
    system.load()
    control.stop(system.client, system.task)
    system.drive.tick("probation_dms_sensor")
    told = latest_check(system, table_key(system.spec.name, Layer.LANDING, REGION))
    assert not told.passed
    assert "dms-assets task start probation" in str(told.metadata["remedy"].value)
    system.execute("update probation.region set name = name || ' (new)'")
    control.start(system.client, system.task)
    until(lambda: read_task(system.client, system.task).tables[REGION].updates >= 12)
    system.flush()
    system.drive.settle(system.spec.name, 6)
    assert latest_check(system, table_key(system.spec.name, Layer.LANDING, REGION)).passed
    assert_equal_to_the_source(system, tmp_path / "resumed")


def test_local_dms_killed_between_write_and_confirm_delivers_again_and_nothing_counts_twice(
    system: System, tmp_path: Path
) -> None:
    system.load()
    assert system.stack.local_dms is not None
    system.stack.local_dms.stop()
    system.stack.start_local_dms("local_dms.before_confirm=kill")
    system.execute("update probation.region set population = coalesce(population, 0) + 1")
    assert system.stack.local_dms.wait(60) == KILLED_STATUS
    system.stack.start_local_dms()
    until(lambda: read_task(system.client, system.task).status == "running")
    system.execute("update probation.region set population = population + 1")
    until(lambda: read_task(system.client, system.task).tables[REGION].updates >= 24)
    system.flush()
    system.drive.settle(system.spec.name, 6)
    keyed = {table.name: bool(table.key) for table in system.installation.known_metadata(system.spec).values()}
    found = {item.name: item for item in table_evidence(system.installation, system.spec, keyed)}
    assert found[REGION].redelivered == 12, "the killed cycle's changes are in the log twice"
    assert found[REGION].changes == 36
    assert_equal_to_the_source(system, tmp_path / "recovered")


def test_a_lost_slot_fails_the_task_with_the_remedy_and_loses_nothing_taken_in(system: System) -> None:
    system.load()
    control.stop(system.client, system.task)
    system.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
    system.execute("update probation.region set population = 0")
    with pytest.raises(control.TaskStateError, match=r"did not start, it is failed: .*slot"):
        control.start(system.client, system.task)
    system.drive.tick("probation_dms_sensor")
    told = str(latest_check(system, table_key(system.spec.name, Layer.LANDING, REGION)).metadata["remedy"].value)
    assert "slot" in told
    assert "failed" in told
    assert all(item.settled for item in read_progress(system.installation, system.spec))


def test_wrong_credentials_and_an_unreachable_source_are_told_without_the_password(system: System) -> None:
    path = system.stack.environment.secret_path(system.spec.connection.secret)
    good = path.read_text()
    path.write_text(
        good.replace(f'"password": "{system.postgres.connection_info.password}"', '"password": "wrong-one"')
    )
    with pytest.raises(Exception, match="cannot be reached as user") as caught:
        system.drive.tick("probation_source_sensor")
    assert "Correct the secret 'probation/dms'" in str(caught.value) + str(caught.value.__cause__)
    assert "wrong-one" not in str(caught.value) + str(caught.value.__cause__)
    path.unlink()
    with pytest.raises(Exception, match="is not there; write a JSON object"):
        system.drive.tick("probation_source_sensor")
    path.write_text(good)
    system.drive.tick("probation_source_sensor")


def test_a_table_that_is_not_there_is_told_and_the_others_go_on(system: System) -> None:
    system.execute("drop table probation.migrated_value")
    system.drive.settle(system.spec.name)
    missing = TableName("probation", "migrated_value")
    told = latest_check(system, table_key(system.spec.name, Layer.SOURCE, missing))
    assert not told.passed
    assert "correct defs.yaml" in str(told.metadata["remedy"].value)
    assert len(system.installation.known_metadata(system.spec)) == len(system.spec.tables) - 1


def test_dms_that_does_not_answer_is_told(system: System) -> None:
    assert system.stack.local_dms is not None
    system.stack.local_dms.stop()
    with pytest.raises(Exception, match="DMS does not answer"):
        system.drive.tick("probation_dms_sensor")
    system.stack.start_local_dms()


def latest_check(system: System, key: dg.AssetKey, name: str | None = None) -> dg.AssetCheckEvaluation:
    name = name or (CAPTURE_CHECK if key.path[1] == Layer.LANDING else "present")
    check = dg.AssetCheckKey(key, name)
    record = system.drive.instance.event_log_storage.get_latest_asset_check_execution_by_key([check])[check]
    assert record.event is not None
    data = record.event.get_dagster_event().event_specific_data
    assert isinstance(data, dg.AssetCheckEvaluation)
    return data
