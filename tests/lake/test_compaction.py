"""Many small data files become one: the same rows for every reader, whatever happens meanwhile."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Transaction

from dms_assets.lake import compaction
from dms_assets.lake.compaction import RewrittenRowsError, compact
from dms_assets.lake.orphans import sweep_orphans
from dms_assets.lake.removed import Removed
from dms_assets.lake.validated_table import batch_id_of, expire_snapshots
from dms_assets.model.failpoints import FailpointError
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.table_metadata import ColumnMetadata
from tests.lake.world import World, cdc_table, dying_at, event_counts, load_table, rows

IDENTIFIER = ("shop_app_validated", "person")
EVERYTHING = (
    "id, name, status, amount, seen_at, age, _op, _stream, _seq, _commit_at, _position, _load_id, _file, _file_row, "
    "hex(_change_id), _batch, _metadata_version"
)


@pytest.fixture
def busy(world: World) -> World:
    """A table of five batches; the last ones have a column that the first ones lack."""
    world.land_load(load_table(rows(3)))
    world.loaded(3)
    world.ingest()
    for number in range(2):
        world.land(f"20260101-{number:09d}.parquet", cdc_table(rows(2, first=100 + 2 * number), seq=10 * number))
        world.ingest()
    age = ColumnMetadata("age", LogicalType.parse("int16"), "smallint")
    world.metadata = replace(world.metadata, columns=(*world.metadata.columns, age))
    for number in (2, 3):
        world.land(f"20260101-{number:09d}.parquet", with_age(1, first=200 + number, seq=10 * number))
        world.ingest()
    return world


def with_age(count: int, first: int, seq: int) -> pa.Table:
    return cdc_table({**rows(count, first=first), "age": pa.array([7] * count, pa.int16())}, seq=seq)


def run(world: World, at_least: int = 3, **options: Any) -> Removed:
    return compact(world.catalog, IDENTIFIER, world.stores.scratch / "compaction", at_least=at_least, **options)


def content(world: World) -> list[tuple[Any, ...]]:
    return world.table_rows(EVERYTHING, "_batch, _file, _file_row")


def test_the_rows_are_the_same_for_every_reader(busy: World) -> None:
    before, loads = content(busy), busy.pinned().loads
    scanned = busy.catalog.load_table(IDENTIFIER).scan().to_arrow()
    assert len(busy.pinned().files) == 5
    assert run(busy, at_least=6) == Removed()
    assert run(busy, dry_run=True).count == 5
    assert len(busy.pinned().files) == 5
    removed = run(busy)
    assert removed.count == 5
    assert removed.size > 0
    assert len(busy.pinned().files) == 1
    assert content(busy) == before
    after = busy.catalog.load_table(IDENTIFIER).scan().to_arrow()
    order = ["_batch", "_file", "_file_row"]
    assert pl.DataFrame(after).sort(order).equals(pl.DataFrame(scanned.select(after.column_names)).sort(order))
    assert (busy.pinned().batch, busy.pinned().loads) == (5, loads)
    assert run(busy) == Removed()


def test_numbers_that_are_not_equal_to_themselves_are_the_same_rows(world: World) -> None:
    score = ColumnMetadata("score", LogicalType.parse("float64"), "double precision")
    half = ColumnMetadata("half", LogicalType.parse("float32"), "real")
    world.metadata = replace(world.metadata, columns=(*world.metadata.columns, score, half))
    values: dict[str, Any] = {
        "score": pa.array([math.nan, -0.0, None], pa.float64()),
        "half": pa.array([None, math.inf, math.nan], pa.float32()),
    }
    world.land_load(load_table(rows(3, **values)))
    world.loaded(3)
    world.ingest()
    for number in range(3):
        table = cdc_table(rows(3, first=100 + 3 * number, **values), seq=10 * number)
        world.land(f"20260101-{number:09d}.parquet", table)
        world.ingest()
    numbers = "id, score::text, half::text"
    before = world.table_rows(numbers, "id")
    assert {row[1] for row in before} == {"nan", "-0.0", None}
    assert run(world).count == 4
    assert len(world.pinned().files) == 1
    assert world.table_rows(numbers, "id") == before


def test_the_table_goes_on(busy: World) -> None:
    run(busy)
    busy.land("20260101-000000009.parquet", with_age(1, first=300, seq=90))
    outcome = busy.ingest()
    assert (outcome.batch, outcome.attempts) == (6, 1)
    assert len(busy.pinned().files) == 2
    assert event_counts(busy.ledger_rows()) == {"accepted": 6}
    assert {row.batch for row in busy.ledger_rows()} == set(range(1, 7))


def test_a_reader_of_an_older_snapshot_keeps_its_files_until_nobody_knows_it(busy: World) -> None:
    old = busy.pinned().files
    run(busy)
    later = datetime.now(UTC) + timedelta(hours=1)
    sweep_orphans(busy.catalog, IDENTIFIER, later)
    with_old = set(old)
    assert with_old <= {str(path) for path in busy.home.rglob("*.parquet")}
    expire_snapshots(busy.catalog.load_table(IDENTIFIER), before=later)
    sweep_orphans(busy.catalog, IDENTIFIER, later, pinned=old[:1])
    left = {str(path) for path in (busy.home / "lake").rglob("*.parquet")}
    assert left == {*busy.pinned().files, old[0]}


def test_a_batch_in_flight_begins_again(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    busy.land("20260101-000000009.parquet", with_age(1, first=300, seq=90))
    commit = Transaction.commit_transaction
    compacted: list[Removed] = []

    def overtaken(transaction: Any) -> Any:
        if not compacted:
            compacted.append(Removed())
            compacted.append(run(busy))
        return commit(transaction)

    monkeypatch.setattr(Transaction, "commit_transaction", overtaken)
    outcome = busy.ingest()
    assert compacted[1].count == 5
    assert (outcome.attempts, outcome.batch, outcome.rows) == (2, 6, 1)
    assert len(content(busy)) == 10


def test_a_compaction_in_flight_gives_way_to_a_batch(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    busy.land("20260101-000000009.parquet", with_age(1, first=300, seq=90))
    commit = compaction._replace
    overtaken: list[int | None] = []

    def be_overtaken(*arguments: Any) -> bool:
        overtaken.append(busy.ingest().batch)
        return commit(*arguments)

    monkeypatch.setattr(compaction, "_replace", be_overtaken)
    assert run(busy) == Removed()
    assert overtaken == [6]
    assert len(busy.pinned().files) == 6
    assert len(content(busy)) == 10


def test_a_lost_response_is_found_behind_a_compaction(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    busy.land("20260101-000000009.parquet", with_age(1, first=300, seq=90))
    commit = busy.catalog.commit_table
    lost: list[str | None] = []

    def lose_response(*arguments: Any) -> Any:
        commit(*arguments)
        monkeypatch.setattr(busy.catalog, "commit_table", commit)
        lost.append(batch_id_of(busy.catalog.load_table(IDENTIFIER)))
        assert run(busy).count == 6
        raise ConnectionError("connection reset")

    monkeypatch.setattr(busy.catalog, "commit_table", lose_response)
    outcome = busy.ingest()
    assert lost == [outcome.batch_id]
    assert (outcome.attempts, outcome.batch, outcome.rows) == (1, 6, 1)
    assert len(content(busy)) == 10


def test_a_refusal_of_what_was_carried_out_breaks_nothing(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(busy)
    commit = busy.catalog.commit_table

    def carry_out_and_refuse(*arguments: Any) -> Any:
        commit(*arguments)
        raise CommitFailedException("the table version has moved")

    monkeypatch.setattr(busy.catalog, "commit_table", carry_out_and_refuse)
    run(busy)
    monkeypatch.undo()
    assert len(busy.pinned().files) == 1
    assert content(busy) == before


def test_a_killed_compaction_changes_nothing_and_its_file_is_swept(busy: World) -> None:
    before, files = content(busy), busy.pinned().files
    with dying_at("dms_assets.lake.compaction", "retention.before_compaction"), pytest.raises(FailpointError):
        run(busy)
    assert busy.pinned().files == files
    sweep_orphans(busy.catalog, IDENTIFIER, datetime.now(UTC) + timedelta(hours=1))
    assert {str(path) for path in (busy.home / "lake").rglob("*.parquet")} == set(files)
    assert content(busy) == before
    assert run(busy).count == 5


def test_a_file_that_does_not_hold_the_rows_is_never_committed(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    files = busy.pinned().files
    read = compaction._read
    monkeypatch.setattr(compaction, "_read", lambda *arguments: read(*arguments).slice(1))
    with pytest.raises(RewrittenRowsError, match="exactly the rows of 5 data files"):
        run(busy)
    assert busy.pinned().files == files


def test_a_table_that_is_not_there_is_not_compacted(world: World) -> None:
    assert run(world) == Removed()
