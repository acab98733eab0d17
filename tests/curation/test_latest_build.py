"""Builds have numbers; a warehouse of an earlier release is taken over, one of a newer release left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from dms_assets.curation.latest_build import FORMAT, BuildOvertakenError, begin_build, check_latest
from dms_assets.curation.warehouse import open_warehouse
from dms_assets.model.document_format import DocumentFormatError


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """As an earlier release left it: no build had a number, and the file no format."""
    with open_warehouse(tmp_path / "warehouse.duckdb") as connection:
        connection.execute("create schema platform")
        connection.execute("create table platform.pinned_snapshots as select 1 as batch")
        yield connection


def test_only_the_latest_build_goes_on(warehouse: duckdb.DuckDBPyConnection) -> None:
    first = begin_build(warehouse)
    check_latest(warehouse, first)
    second = begin_build(warehouse)
    check_latest(warehouse, second)
    with pytest.raises(BuildOvertakenError, match=f"build {first} .* followed by build {second}"):
        check_latest(warehouse, first)
    assert warehouse.execute("from platform.pinned_snapshots").fetchall() == [(1,)]


def test_a_warehouse_of_a_newer_release_is_left_as_it_is(warehouse: duckdb.DuckDBPyConnection) -> None:
    begin_build(warehouse)
    warehouse.execute("update platform.latest_build set format = format + 1")
    before = warehouse.execute("from platform.latest_build").fetchall()
    with pytest.raises(DocumentFormatError, match=f"the warehouse is of format {FORMAT + 1}"):
        begin_build(warehouse)
    assert warehouse.execute("from platform.latest_build").fetchall() == before
