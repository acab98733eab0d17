"""The read copy is swapped whole, under readers and beside the warehouse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from dms_assets.curation import publish as published_module
from dms_assets.curation.latest_build import BuildOvertakenError, begin_build
from dms_assets.curation.publish import publish
from dms_assets.curation.warehouse import WarehouseBusyError, open_published, open_warehouse

OPEN = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('select 1')"
READ_TWICE = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
for _ in range(2):
    print(connection.execute('from office_app_curated.thing').fetchall(), flush=True)
    sys.stdin.readline()
"""


def write(warehouse: Path, number: int) -> int:
    """The next build of the warehouse, whose only row is this number."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create schema if not exists office_app_validated")
        connection.execute("create schema if not exists office_app_curated")
        connection.execute("create schema if not exists platform")
        connection.execute("create or replace table platform.pinned_snapshots as select 1 as snapshot_id")
        connection.execute("create or replace table office_app_curated.thing_versions as select 0 as n")
        connection.execute(f"create or replace table office_app_curated.thing_versions as select {number} as n")
        connection.execute(
            'create or replace view office_app_curated.thing as from "warehouse"."office_app_curated"."thing_versions"'
        )
        connection.execute(
            "create or replace view office_app_validated.thing as from office_app_curated.thing_versions"
        )
        return begin_build(connection)


def numbers(connection: duckdb.DuckDBPyConnection) -> list[tuple[int]]:
    return connection.execute("from office_app_curated.thing").fetchall()


def test_a_reader_keeps_the_copy_it_has_and_the_next_one_gets_the_new(tmp_path: Path) -> None:
    warehouse, copy = tmp_path / "warehouse.duckdb", tmp_path / "published" / "warehouse.duckdb"
    with pytest.raises(FileNotFoundError, match="first build"):
        open_published(copy)
    publish(warehouse, copy, write(warehouse, 1))
    reader = subprocess.Popen(
        [sys.executable, "-c", READ_TWICE, str(copy)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    assert reader.stdin is not None
    assert reader.stdout.readline() == "[(1,)]\n"
    publish(warehouse, copy, write(warehouse, 2))
    reader.stdin.write("\n")
    reader.stdin.flush()
    assert reader.stdout.readline() == "[(1,)]\n"
    reader.communicate("\n", timeout=30)
    with open_published(copy) as connection:
        assert numbers(connection) == [(2,)]
        assert connection.execute("from platform.pinned_snapshots").fetchall() == [(1,)]
        schemas = connection.execute("select distinct schema_name from duckdb_tables()").fetchall()
        views = connection.execute("select schema_name from duckdb_views() where not internal").fetchall()
    assert ("office_app_validated",) not in [*schemas, *views]
    assert [path.name for path in copy.parent.iterdir()] == ["warehouse.duckdb"]


def test_nobody_writes_while_the_copy_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse, copy = tmp_path / "warehouse.duckdb", tmp_path / "published" / "warehouse.duckdb"
    build = write(warehouse, 1)
    tried: list[subprocess.CompletedProcess[str]] = []
    really_copy = published_module._copy

    def copy_while_another_tries(source: int, target: Path) -> None:
        really_copy(source, target)
        command = [sys.executable, "-c", OPEN, str(warehouse)]
        tried.append(subprocess.run(command, check=False, capture_output=True, text=True, timeout=60))

    monkeypatch.setattr(published_module, "_copy", copy_while_another_tries)
    publish(warehouse, copy, build)
    assert tried[0].returncode != 0
    assert "lock" in tried[0].stderr
    subprocess.run([sys.executable, "-c", OPEN, str(warehouse)], check=True, timeout=60)


def test_without_copying_in_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse, copy = tmp_path / "warehouse.duckdb", tmp_path / "published" / "warehouse.duckdb"
    build = write(warehouse, 3)
    monkeypatch.setattr(published_module, "_kernel_copy", lambda *_: False)
    publish(warehouse, copy, build)
    with open_published(copy) as connection:
        assert numbers(connection) == [(3,)]


def test_a_second_process_is_told_what_to_do(tmp_path: Path) -> None:
    warehouse = tmp_path / "new" / "warehouse.duckdb"
    open_warehouse(warehouse).close()
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.readline()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    with pytest.raises(WarehouseBusyError, match=r"let its run end.*published copy"):
        open_warehouse(warehouse)
    with pytest.raises(WarehouseBusyError):
        publish(warehouse, tmp_path / "published" / "warehouse.duckdb", 1)
    holder.communicate("\n", timeout=30)
    open_warehouse(warehouse).close()


def test_a_build_that_was_followed_by_another_puts_no_older_copy_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, copy = tmp_path / "warehouse.duckdb", tmp_path / "published" / "warehouse.duckdb"
    first, swaps = write(warehouse, 1), []

    def follow(place: str) -> None:
        swaps.append(place)
        if len(swaps) == 1:
            publish(warehouse, copy, write(warehouse, 2))

    monkeypatch.setattr(published_module, "reach", follow)
    with pytest.raises(BuildOvertakenError, match=r"build 1 of the warehouse .* followed by build 2"):
        publish(warehouse, copy, first)
    assert swaps == ["build.before_swap"] * 2, "both had their copies"
    with open_published(copy) as connection:
        assert numbers(connection) == [(2,)]
