"""Documents that the first release wrote, on a source with two loads, a delete and three rejected files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.ledger import Event, Ledger
from dms_assets.lake.quarantine import EntryState, Quarantine
from dms_assets.lake.quarantine_causes import read_causes
from dms_assets.lake.task_memory import PollStore, StreamStore
from dms_assets.metadata.version_store import VersionStore
from dms_assets.model.commit_properties import COMMITTED_FILES, LOADS, parse_committed_files, parse_loads
from dms_assets.model.names import TableName
from dms_assets.model.stored_schema import columns_from_json
from dms_assets.model.task_state import TABLE_COMPLETED
from dms_assets.pipeline.sensors.landing import _asked
from dms_assets.pipeline.sensors.source import _read_cursor

SOURCE, PAYMENT = "probation", TableName("probation", "payment")


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A copy: some stores tidy up what they read."""
    return Path(shutil.copytree(Path(__file__).parent / "release_1", tmp_path / "stored"))


def test_streams_and_polls(stored: Path) -> None:
    state = FolderStore(stored / "state")
    (stream,) = StreamStore(state, SOURCE).streams()
    assert stream.ordinal == 1
    polls = PollStore(state, SOURCE).last()
    assert len(polls) == 17
    assert {poll.state.state for poll in polls.values()} == {TABLE_COMPLETED}


def test_metadata_versions(stored: Path) -> None:
    store = VersionStore(FolderStore(stored / "state"), SOURCE)
    known = store.current(PAYMENT)
    assert known is not None
    assert known.metadata.key == ("payment_id",)
    assert known.metadata.version == "3279b540bee1f82d", "the same content has the name it had"
    assert store.record(known.metadata, known.recorded_at)[0] == known, "it is not taken for a change"


def test_ledger(stored: Path) -> None:
    ledger = Ledger(FolderStore(stored / "ledger"), SOURCE)
    events = sorted(row.event for row in ledger.rows(PAYMENT))
    assert events == [Event.ACCEPTED, Event.ACCEPTED, Event.QUARANTINED]
    assert len(ledger.rows()) == 7


def test_quarantine_with_the_reasons_of_then(stored: Path) -> None:
    quarantine = Quarantine(FolderStore(stored / "quarantine"), SOURCE)
    entries = quarantine.entries()
    assert {entry.state for entry in entries} == {EntryState.OPEN}
    assert sorted(quarantine.report(entry).reason for entry in entries) == [
        "unknown key",
        "unknown table",
        "unreadable",
    ]
    assert all(quarantine.report(entry).text() for entry in entries)
    assert list(quarantine.held_tables()) == [PAYMENT]
    assert sum(len(cause.files) for cause in read_causes(quarantine)) == 3


def test_table_properties(stored: Path) -> None:
    tables = json.loads((stored / "tables.json").read_text(encoding="utf-8"))
    for name, table in tables.items():
        properties = table["properties"]
        committed = parse_committed_files(properties[COMMITTED_FILES])
        assert isinstance(committed, frozenset)
        assert len(committed) == 1, name
        assert [load.stream for load in parse_loads(properties[LOADS])] == [1]
        assert columns_from_json(properties["dms-assets.columns"])


def test_cursors_of_sensors(stored: Path) -> None:
    cursors = json.loads((stored / "cursors.json").read_text(encoding="utf-8"))
    landing = json.loads(cursors["probation_landing_sensor"])
    asked = _asked(landing["asked"])
    assert asked[PAYMENT].attempt == 1
    assert landing["announced"][str(PAYMENT)] == 2
    # Of another form: everything is reported anew, which harms nothing.
    assert _read_cursor(cursors["probation_source_sensor"]) == {}
