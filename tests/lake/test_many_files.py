"""Landing with very many small files of one table, and with one very large one."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dms_assets.lake.batch_attempt import MAX_FILES
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import World, cdc_table, event_counts, folder_world, load_table, rows
from tests.local_dms.resources import peak_megabytes

FIRST = 1_000


def _land_many(world: World, count: int) -> None:
    """Files of one row each, from key FIRST on."""
    for number in range(count):
        world.land(f"20260101-{number:09d}.parquet", cdc_table(rows(1, first=FIRST + number), seq=FIRST + number))


def _loaded(world: World) -> None:
    world.land_load(load_table(rows(1)))
    world.loaded(1)
    assert world.ingest().rows == 1


def _take_all(world: World) -> tuple[int, float]:
    """Batches it took, and seconds."""
    began, batches = time.monotonic(), 0
    while world.listed():
        assert world.ingest().files <= MAX_FILES
        batches += 1
    return batches, time.monotonic() - began


def _prove(world: World, count: int) -> None:
    assert world.table_rows() == [("I", FIRST + number) for number in range(count)] + [("L", 1)]
    assert event_counts(world.ledger_rows()) == {"accepted": count + 1}
    assert len(world.archived()) == count + 1
    assert not world.ingest().committed


def test_a_thousand_files_are_one_commit(world: World) -> None:
    _loaded(world)
    _land_many(world, 1_000)
    assert _take_all(world)[0] == 1
    _prove(world, 1_000)
    assert len(list(world.pinned().files)) <= 1 + 5, "small files become few"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_ten_thousand_files_cost_ten_times_as_much(tmp_path: Path, worker: ValidationWorker) -> None:
    few, many = (folder_world(tmp_path / name, worker) for name in ("few", "many"))
    seconds = []
    for world, count in ((few, 1_000), (many, 10_000)):
        _loaded(world)
        _land_many(world, count)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        batches, took = _take_all(world)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert batches == -(-count // MAX_FILES)
        assert grown < 150, f"{grown:.0f} MB"
        seconds.append(took)
        _prove(world, count)
    assert seconds[1] < 20 * seconds[0], f"{seconds} s: more than in proportion"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_file_of_five_million_rows_is_taken_in_bounded_memory(tmp_path: Path) -> None:
    count, part = 5_000_000, 250_000
    with ValidationWorker() as worker:
        world = folder_world(tmp_path, worker)
        body = tmp_path / "large.parquet"
        with pq.ParquetWriter(body, load_table(rows(1)).schema, store_schema=False) as writer:
            for first in range(1, count, part):
                writer.write_table(_numbered(part, first))
        world.landing.put(world.key("LOAD00000001.parquet"), body)
        world.loaded(count)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert world.ingest().rows == count
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert worker._process is not None
        child = peak_megabytes(worker._process.pid)
    assert grown < 200, f"{grown:.0f} MB in the process itself"
    assert child < 1_000, f"{child:.0f} MB in the process that reads"
    assert world.table_rows("count(*), count(distinct id), sum(id)", "1") == [(count, count, count * (count + 1) // 2)]


def _numbered(count: int, first: int) -> pa.Table:
    keys = range(first, first + count)
    return load_table(rows(count, first=first, name=pa.array([f"n{key}" for key in keys], pa.string())))
