"""The worker process: limits, death, faults; and files that are only large."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dms_assets.model.change_columns import LandingColumns
from dms_assets.model.column_check import ColumnCheck
from dms_assets.model.landed_file import FileIdentity, FileKind
from dms_assets.validation.duplicates import find_duplicates
from dms_assets.validation.messages import FileTask, OutputFile, TableTask
from dms_assets.validation.outcome import Group, Reason
from dms_assets.validation.worker_process import ValidationWorker, WorkerFailedError, WorkerLimits
from tests.corpus.corpus import dictionary_bomb
from tests.lake.world import PERSON, cdc_table, load_table, parquet, rows

TABLE = TableTask(PERSON, (), LandingColumns(), unique_positions=True)


def task(path: Path, kind: FileKind = FileKind.CDC) -> FileTask:
    identity = FileIdentity(f"shop/app/person/{path.name}", "etag", "2026-01-01T00:00:00.000000+00:00")
    if kind is FileKind.CDC:
        return FileTask(path, identity, kind, stream=1)
    return FileTask(path, identity, kind, stream=1, load_id="load", boundary_at=datetime.now(UTC))


def written(path: Path, content: pa.Table | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else parquet(content))
    return path


@pytest.fixture
def told(worker: ValidationWorker) -> ValidationWorker:
    worker.set_table(TABLE)
    return worker


@pytest.fixture
def own() -> Iterator[ValidationWorker]:
    with ValidationWorker(WorkerLimits(memory_bytes=1 << 30, cpu_seconds=4)) as running:
        running.set_table(TABLE)
        yield running


def child(worker: ValidationWorker) -> psutil.Process:
    assert worker._process is not None
    return psutil.Process(worker._process.pid)


def test_a_group_of_files_becomes_one_data_file(told: ValidationWorker, tmp_path: Path) -> None:
    files = [task(written(tmp_path / f"{n}.parquet", cdc_table(rows(2, first=2 * n), seq=n))) for n in range(5)]
    result = told.validate(files, tmp_path / "out", batch=7)
    assert [verdict.rows for verdict in result.verdicts if verdict] == [2] * 5
    assert [output.rows for output in result.outputs] == [10]
    table = pq.read_table(result.outputs[0].path)
    assert table.column("id").to_pylist() == list(range(10))
    assert table.column("_file_row").to_pylist() == [0, 1] * 5
    assert set(table.column("_batch").to_pylist()) == {7}


def test_a_large_file_is_streamed_into_a_data_file_of_its_own(told: ValidationWorker, tmp_path: Path) -> None:
    count = 600_000
    big = load_table(rows(count, name=pa.array(["abcdefghij"] * count)))
    path = tmp_path / "big.parquet"
    pq.write_table(big, path, store_schema=False)
    result = told.validate([task(path, FileKind.LOAD)], tmp_path / "out", batch=1)
    assert [output.rows for output in result.outputs] == [count]
    assert child(told).memory_info().rss < 700 << 20
    assert told.duplicates(result.outputs) == []


def test_a_large_file_with_one_bad_row_leaves_nothing_behind(told: ValidationWorker, tmp_path: Path) -> None:
    count = 600_000
    names = ["abcdefghij"] * (count - 1) + ["far too long for it"]
    path = tmp_path / "big.parquet"
    pq.write_table(load_table(rows(count, name=pa.array(names))), path, store_schema=False)
    result = told.validate([task(path, FileKind.LOAD)], tmp_path / "out", batch=1)
    assert result.outputs == ()
    verdict = result.verdicts[0]
    assert verdict is not None
    assert verdict.reason is Reason.LENGTH
    length = next(outcome for outcome in verdict.outcomes if outcome.group is Group.LENGTH)
    assert (length.failing, length.rows) == (1, (count - 1,))
    assert sorted(found.name for found in tmp_path.iterdir()) == ["big.parquet"]


def test_a_text_of_a_hundred_megabytes_is_fine(told: ValidationWorker, tmp_path: Path) -> None:
    told.set_table(TableTask(_unlimited(), (), LandingColumns(), unique_positions=True))
    names = pa.array([os.urandom(50).hex() * 1_000_000, "b"])
    path = written(tmp_path / "lob.parquet", cdc_table(rows(2, name=names)))
    result = told.validate([task(path)], tmp_path / "out", batch=1)
    verdict = result.verdicts[0]
    assert verdict is not None
    assert verdict.accepted, verdict.outcomes


def test_a_word_that_a_dictionary_repeats_often_is_fine(told: ValidationWorker, tmp_path: Path) -> None:
    """600 MB of values in a small file: read as they are they would be too much at once."""
    told.set_table(TableTask(_unlimited(), (), LandingColumns(), unique_positions=True))
    count = 20_000
    names = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["x" * 30_000]))
    table = cdc_table(rows(count))
    path = tmp_path / "repeated.parquet"
    index = table.schema.get_field_index("name")
    pq.write_table(table.set_column(index, "name", names), path, store_schema=False)
    result = told.validate([task(path)], tmp_path / "out", batch=1)
    verdict = result.verdicts[0]
    assert verdict is not None
    assert (verdict.accepted, verdict.rows) == (True, count), verdict.outcomes
    assert sum(output.rows for output in result.outputs) == count


def test_a_bomb_is_a_verdict_and_its_neighbours_are_judged(own: ValidationWorker, tmp_path: Path) -> None:
    bomb = written(tmp_path / "bomb.parquet", dictionary_bomb())
    good = written(tmp_path / "good.parquet", cdc_table(rows(1)))
    result = own.validate([task(good), task(bomb), task(good)], tmp_path / "out", batch=1)
    assert [verdict.reason for verdict in result.verdicts if verdict] == [None, Reason.RESOURCE_LIMIT, None]
    assert sum(output.rows for output in result.outputs) == 2


def test_a_worker_that_is_killed_is_started_again(own: ValidationWorker, tmp_path: Path) -> None:
    good = written(tmp_path / "good.parquet", cdc_table(rows(1)))
    own.validate([task(good)], tmp_path / "one", batch=1)
    child(own).kill()
    result = own.validate([task(good), task(good)], tmp_path / "two", batch=1)
    assert own.started == 2
    assert sum(output.rows for output in result.outputs) == 2


def test_the_file_that_ends_the_worker_twice_is_the_culprit(own: ValidationWorker, tmp_path: Path) -> None:
    """A thread stops the worker, as a reader's endless loop would: the clock ends it, alone it is rejected."""
    own._limits = WorkerLimits(memory_bytes=1 << 30, cpu_seconds=0.1, cpu_seconds_per_mib=0, clock_seconds_least=0.5)
    good = written(tmp_path / "good.parquet", cdc_table(rows(1)))
    own.claimed_rows(good)
    stop = threading.Event()

    def freeze() -> None:
        frozen: set[int] = set()
        while not stop.is_set():
            process = own._process
            # Once it has been told the table it works on files.
            if process is not None and own._told and process.pid not in frozen:
                frozen.add(process.pid)
                os.kill(process.pid, signal.SIGSTOP)
            time.sleep(0.01)

    freezer = threading.Thread(target=freeze)
    freezer.start()
    try:
        result = own.validate([task(good)], tmp_path / "out", batch=1)
    finally:
        stop.set()
        freezer.join()
    verdict = result.verdicts[0]
    assert verdict is not None
    assert verdict.reason is Reason.RESOURCE_LIMIT
    assert "too long" in verdict.outcomes[0].found


def test_cpu_time_is_limited_per_request(tmp_path: Path) -> None:
    with ValidationWorker(WorkerLimits(cpu_seconds=0.001, cpu_seconds_per_mib=0)) as worker:
        worker.set_table(TABLE)
        count = 900_000
        path = tmp_path / "big.parquet"
        pq.write_table(load_table(rows(count)), path, store_schema=False)
        verdict = worker.validate([task(path, FileKind.LOAD)], tmp_path / "out", batch=1).verdicts[0]
    assert verdict is not None
    assert verdict.reason is Reason.RESOURCE_LIMIT
    assert "SIGXCPU" in verdict.outcomes[0].found


def test_the_worker_has_no_environment(told: ValidationWorker, tmp_path: Path) -> None:
    told.claimed_rows(written(tmp_path / "good.parquet", cdc_table(rows(1))))
    found = set(child(told).environ())
    assert found <= {
        "LANG",
        "LC_CTYPE",
        "POLARS_MAX_THREADS",
        "OMP_NUM_THREADS",
        "MALLOC_ARENA_MAX",
        "ARROW_DEFAULT_MEMORY_POOL",
    }


def test_a_folder_that_cannot_be_written_to_is_no_fault_of_a_file(told: ValidationWorker, tmp_path: Path) -> None:
    good = written(tmp_path / "good.parquet", cdc_table(rows(1)))
    with pytest.raises(WorkerFailedError, match="cannot write"):
        told.validate([task(good)], tmp_path / "no" / "such" / "folder", batch=1)


@pytest.mark.parametrize(
    "check",
    [
        ColumnCheck(column="nmae", isin=("a",)),
        ColumnCheck(column="name", ge=1),
        ColumnCheck(column="id", matches="x"),
        ColumnCheck(column="id", isin=("a", "b")),
        ColumnCheck(column="name", matches="(?<=a)b"),
        ColumnCheck(column="seen_at", isin=("2026-01-01",)),
    ],
)
def test_a_declared_check_that_does_not_fit_is_no_fault_of_a_file(
    told: ValidationWorker, tmp_path: Path, check: ColumnCheck
) -> None:
    told.set_table(TableTask(PERSON, (check,), LandingColumns(), unique_positions=True))
    good = written(tmp_path / "good.parquet", cdc_table(rows(1)))
    with pytest.raises(WorkerFailedError, match=check.column):
        told.validate([task(good)], tmp_path / "out", batch=1)


def test_duplicates_are_found_in_shares_of_the_load(told: ValidationWorker, tmp_path: Path) -> None:
    tables = [load_table(rows(300)), load_table(rows(10, first=250)), load_table(rows(300, first=400))]
    outputs: list[OutputFile] = []
    for number, table in enumerate(tables):
        path = written(tmp_path / f"LOAD{number:08d}.parquet", table)
        outputs += told.validate([task(path, FileKind.LOAD)], tmp_path / f"out{number}", batch=1).outputs
    whole = find_duplicates(outputs)
    assert [(found.file[-12:], found.row) for found in whole] == [("0001.parquet", row) for row in range(10)]
    assert find_duplicates(outputs, rows_per_pass=40) == whole


def test_the_footer_tells_the_rows(told: ValidationWorker, tmp_path: Path) -> None:
    assert told.claimed_rows(written(tmp_path / "good.parquet", cdc_table(rows(3)))) == 3
    assert told.claimed_rows(written(tmp_path / "bad.parquet", b"PAR1")) is None


def _unlimited() -> Any:
    from dataclasses import replace

    columns = [replace(column, length=None) if column.name == "name" else column for column in PERSON.columns]
    return replace(PERSON, columns=tuple(columns))
