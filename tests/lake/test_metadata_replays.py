"""Files ahead of the metadata are taken in as soon as it is known; wrong ones wait for an operator."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from dms_assets.lake.metadata_replays import BY, replay_what_metadata_explains
from dms_assets.lake.quarantine import Entry, EntryState
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.table_metadata import ColumnMetadata
from dms_assets.validation.outcome import Reason
from tests.lake.world import PERSON, World, cdc_table, rows

WIDER = replace(PERSON, columns=(*PERSON.columns, ColumnMetadata("nick", LogicalType.parse("string"), "text")))
NICK = pa.array(["x"], pa.string())


def look(world: World) -> list[Entry]:
    quarantine = world.quarantine
    versions = {world.name: world.metadata.version}
    return replay_what_metadata_explains(quarantine, quarantine.entries(), versions, world.start)


def test_a_file_ahead_of_the_metadata_is_taken_in_when_it_is_known(world: World) -> None:
    world.loaded(0)
    world.land("20260101-000000001.parquet", cdc_table(rows(1, nick=NICK)))
    assert [item.reason for item in world.ingest().rejected] == [Reason.SCHEMA]
    assert look(world) == [], "nothing new is known of the table"
    world.metadata = WIDER
    (entry,) = look(world)
    assert entry.state is EntryState.REPLAY
    (decision,) = world.quarantine.decisions(entry)
    assert decision["by"] == BY
    assert WIDER.version in decision["reason"]
    assert look(world) == [], "it is asked for once"
    world.ingest()
    assert world.table_rows("_op, id, nick") == [("I", 1, "x")]
    assert world.quarantine.held_tables() == {}


def test_a_file_that_is_wrong_all_the_same_waits_until_more_is_known(world: World) -> None:
    world.loaded(0)
    world.land("20260101-000000001.parquet", cdc_table(rows(1, nick=NICK, other=NICK)))
    world.ingest()
    world.metadata = WIDER
    assert len(look(world)) == 1
    world.ingest()
    (entry,) = world.quarantine.entries()
    assert (entry.state, entry.reports) == (EntryState.OPEN, 2)
    assert look(world) == [], "judged by this version already"


def test_what_metadata_does_not_explain_is_left_to_operators(world: World) -> None:
    world.loaded(0)
    world.land("20260101-000000001.parquet", b"broken")
    world.land("20260101-000000002.parquet", cdc_table(rows(1, amount=pa.array([-1], pa.decimal128(10, 2)))))
    world.ingest()
    world.metadata = WIDER
    assert look(world) == []
    assert {entry.state for entry in world.quarantine.entries()} == {EntryState.OPEN}
