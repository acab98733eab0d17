"""What operators, checks and alerts left, as written before decisions, marks and cursors carried a format."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

import dms_assets.pipeline.sensors.dms as dms_sensor
from dms_assets.alerts.cause import Kind, Severity
from dms_assets.alerts.store import AlertStore
from dms_assets.dms.task_reader import TaskNotFoundError
from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.lake.change_counts import ChangeCounts
from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.quarantine import EntryState, Quarantine
from dms_assets.lake.stuck_loads import StuckLoads
from dms_assets.model.document_format import DocumentFormatError
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.task_state import TABLE_COMPLETED, TableState, TaskState
from dms_assets.model.watermark import COMMIT_TO_VISIBLE, Note, Watermark
from dms_assets.pipeline.checks.dms_statistics import Counters, Looks, LooksStore
from dms_assets.pipeline.reconciliation.reload import Reload, ReloadStore
from dms_assets.pipeline.reconciliation.store import ReconciliationStore, read_last_reconciliation
from dms_assets.pipeline.reconciliation.watermark import WatermarkStore
from dms_assets.pipeline.resources import DmsResource
from dms_assets.reconcile.comparison import Fault

SOURCE, ORDER, ITEM = "shop", TableName("shop", "order"), TableName("shop", "item")
BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
TASK = TaskState(
    "arn",
    "name",
    "running",
    datetime(2026, 1, 1, tzinfo=UTC),
    tables={ORDER: TableState(ORDER, TABLE_COMPLETED, load_rows=10)},
)


def second(value: float) -> datetime:
    return BEGIN + timedelta(seconds=value)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A copy: some stores tidy up what they read."""
    return Path(shutil.copytree(Path(__file__).parent / "release_1", tmp_path / "stored"))


@pytest.fixture
def state(stored: Path) -> FolderStore:
    return FolderStore(stored / "state")


def test_reconciliation_results(state: FolderStore) -> None:
    refused, compared = ReconciliationStore(state, SOURCE).history(ORDER)
    assert (refused.compared, refused.reason) == (False, "the table is held")
    assert (compared.at, compared.watermark, compared.diverged) == (second(60), second(55), True)
    assert (compared.missing, compared.extra, compared.in_doubt, compared.source_rows) == (1, 1, 1, 3)
    assert [key.fault for key in compared.keys] == [Fault.MISSING, Fault.EXTRA]
    assert read_last_reconciliation(state, SOURCE) == {ORDER: compared}


def test_reload_records_and_a_newer_one(state: FolderStore) -> None:
    store = ReloadStore(state, SOURCE)
    assert store.reloads() == [
        Reload((ORDER,), "differs from its source", "operator", second(100)),
        Reload((ORDER, ITEM), "the stream broke", "operator", second(200), fresh_stream=True),
    ]
    state.put(f"reloads/{SOURCE}/29990101.json", json.dumps({"format": 2}).encode())
    with pytest.raises(DocumentFormatError, match="format 2"):
        store.reloads()


def test_watermarks(state: FolderStore) -> None:
    found = WatermarkStore(state, SOURCE).state()
    assert found is not None
    assert (found.stream, found.slot, found.notes) == (1, "slot", (Note(second(10), 200),))
    assert found.reached == (Watermark(second(0) - COMMIT_TO_VISIBLE, second(1)),)


def test_looks_at_statistics(state: FolderStore) -> None:
    by_op = {"I": 3, "U": 2, "D": 1}
    assert LooksStore(state, SOURCE).read() == {
        ORDER: Looks(
            stream=1,
            noted=Counters(3, 2, 1, 10, reloaded=False),
            noted_at=second(0),
            counted=ChangeCounts(by_op, by_op, 10),
            counted_at=second(5),
            load_is_in=True,
            judged=Counters(1, 0, 0, 10, reloaded=False),
            judged_at=second(-300),
        ),
        ITEM: Looks(1),
    }


def test_memory_of_alerts(state: FolderStore) -> None:
    remembered = AlertStore(state).load()
    (episode,) = remembered.open({Kind.TABLE})
    assert (episode.cause.severity, episode.tellings, episode.told_at) == (Severity.ERROR, 1, second(60))
    assert (remembered.told, remembered.marks, remembered.looked_at) == (1, {"runs": 7}, second(60))
    assert [parcel.owed for parcel in remembered.parcels] == [{"log"}]


def test_stuck_loads(state: FolderStore) -> None:
    stuck = StuckLoads(state, SOURCE)
    assert stuck.reason(ORDER) == "a file of the load is missing; reload the table"
    assert stuck.reason(ITEM) is None


def test_decisions_and_a_newer_one(stored: Path) -> None:
    store = FolderStore(stored / "quarantine")
    quarantine = Quarantine(store, SOURCE)
    entries = {entry.state: entry for entry in quarantine.entries()}
    assert set(entries) == {EntryState.REPLAY, EntryState.DISCARD, EntryState.DONE}
    (decision,) = quarantine.decisions(entries[EntryState.REPLAY])
    at = second(11).isoformat()
    assert decision == {"action": "replay", "reason": "looked at", "by": "operator", "at": at}
    assert list(quarantine.held_tables()) == [ORDER]
    quarantine.finish(entries[EntryState.DISCARD], second(30))
    newer = json.dumps({"format": 2, "action": "sell"}).encode()
    store.put(f"{entries[EntryState.REPLAY].prefix}/decision-0001.json", newer)
    with pytest.raises(DocumentFormatError, match=r"decision-0001\.json is of format 2, .* formats up to 1; run"):
        quarantine.entries()


def test_the_cursor_of_the_dms_sensor(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cursors = json.loads((stored / "dms_cursors.json").read_text(encoding="utf-8"))
    tables = [ORDER.table, ITEM.table]
    declared = {"name": SOURCE, "engine": "postgres", "connection": {"secret": "x"}, "schema": "shop", "tables": tables}
    sensor = dms_sensor.build_dms_sensor(SourceSpec.model_validate(declared))
    resources = {
        "installation": Installation(Environment(home=tmp_path / "home")),
        "dms": DmsResource(region_name="eu-west-2", max_attempts=1),
    }

    def tick(cursor: str) -> object:
        with dg.build_sensor_context(cursor=cursor, resources=resources) as context:
            return sensor(context)

    monkeypatch.setattr(dms_sensor, "poll_task", lambda *_: TASK)
    assert isinstance(tick(cursors["running"]), dg.SkipReason), "nothing is reported anew"
    told = tick(cursors["no task"])
    assert isinstance(told, dg.SensorResult)
    assert json.loads(told.cursor or "") == {"format": 1, **json.loads(cursors["running"])}
    with pytest.raises(DocumentFormatError, match="cursor of shop_dms_sensor is of format 2"):
        tick('{"format": 2}')

    def missing(*_: object) -> TaskState:
        raise TaskNotFoundError("name")

    monkeypatch.setattr(dms_sensor, "poll_task", missing)
    assert isinstance(tick(cursors["no task"]), dg.SkipReason), "what was told is not told again"
    assert isinstance(tick(cursors["running"]), dg.SensorResult)
