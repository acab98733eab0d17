"""No space left on the device, the real one: work fails in plain words, nothing is lost, and it goes on with room."""

from __future__ import annotations

from pathlib import Path

import pytest

from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import cdc_table, event_counts, folder_world, load_table, rows
from tests.processes.driven import driven, looks
from tests.processes.small_disk import NoSmallDiskError, filled, small_disk

FULL = ("No space left on device", "disk is full", "could not write", "ENOSPC")
ROOMS = (0, 16 << 10, 40 << 10, 64 << 10, 96 << 10)
"""Bytes left: each lets ingestion come a little further before it finds the disk full."""


def told(error: BaseException) -> str:
    """An error and its causes, in words."""
    cause = error.__cause__ or error.__context__
    return f"{error} <- {told(cause)}" if cause else str(error)


def test_ingestion_fails_plainly_and_goes_on_with_room(tmp_path: Path) -> None:
    failures: list[str] = []
    try:
        with small_disk(tmp_path / "disk", 24) as disk, ValidationWorker() as worker:
            world = folder_world(disk / "world", worker)
            world.land_load(load_table(rows(2, first=1000)))
            world.loaded(2)
            world.ingest()
            for number, room in enumerate(ROOMS):
                world.land(f"20260101-{number:09d}.parquet", cdc_table(rows(200, first=number * 200), seq=number * 200))
                with filled(disk, room):
                    try:
                        world.ingest()
                    except Exception as error:  # noqa: BLE001 which one depends on the place; its words must say why
                        failures.append(told(error))
                world.ingest()
            assert world.table_rows() == [("I", key) for key in range(200 * len(ROOMS))] + [("L", 1000), ("L", 1001)]
            assert event_counts(world.ledger_rows()) == {"accepted": len(ROOMS) + 1}
            assert world.listed() == []
            assert world.quarantine.entries() == [], "a full disk is no fault of a file"
    except NoSmallDiskError as error:
        pytest.skip(str(error))
    assert len(failures) >= 3, "the disk was full"
    assert [text for text in failures if not any(words in text for words in FULL)] == []


@pytest.mark.system
@pytest.mark.postgres
@pytest.mark.timeout(600)
@pytest.mark.long
def test_a_build_fails_plainly_and_goes_on_with_room(tmp_path: Path) -> None:
    home = tmp_path / "home"
    try:
        with small_disk(home / "warehouse", 96) as disk, driven(home) as system:
            system.load()
            assert system.drive.failures == []
            system.execute("insert into probation.region (code, name) values ('FULL', 'disk')")
            system.flush()
            with filled(disk, 0):
                system.drive.settle(system.spec.name, 2)
            failures = system.drive.failures
            assert failures, "the disk was full"
            texts = [str(event.step_failure_data.error) for run in failures for event in run.get_step_failure_events()]
            assert any(words in text for text in texts for words in FULL), texts
            system.drive.run(system.definitions_of_dbt(), [], {})
            assert looks(system).not_settled() is None
    except NoSmallDiskError as error:
        pytest.skip(str(error))
