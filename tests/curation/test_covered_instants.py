"""How far curated tables are complete: what is recorded, and that a build that died leaves no lie behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from dms_assets.curation.covered_instants import (
    Covered,
    complete_to,
    confirm_covered,
    open_covered,
    read_covered,
    record_covered,
)
from dms_assets.model.load import Load
from dms_assets.model.names import SourceTable, TableName

T = datetime(2026, 11, 22, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
TABLE: SourceTable = ("office", TableName("app", "thing"))


def load(*, one_snapshot: bool) -> Load:
    return Load("L1", TABLE[1], 1, T, "", T, T + HOUR, one_snapshot, 3, 1)


@pytest.fixture
def warehouse() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    return connection


def test_the_later_of_watermark_and_what_was_complete_before_counts() -> None:
    assert complete_to(T + HOUR, T, []) == T + HOUR
    assert complete_to(T, T + HOUR, []) == T + HOUR, "what was complete stays so"
    assert complete_to(None, T, []) == T
    assert complete_to(None, None, []) is None


def test_before_a_watermark_a_load_at_one_snapshot_is_complete_to_that() -> None:
    assert complete_to(None, None, [load(one_snapshot=True)]) == T
    assert complete_to(None, None, [load(one_snapshot=False)]) is None
    assert complete_to(T + HOUR, None, [load(one_snapshot=True)]) == T + HOUR


def test_nothing_is_known_of_a_warehouse_that_was_never_bound(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert read_covered(warehouse) == {}


def test_what_a_build_did_not_live_to_confirm_is_taken_back(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert open_covered(warehouse) == {}
    first, second = Covered(T, T, 1), Covered(T + HOUR, T + HOUR, 2)
    record_covered(warehouse, TABLE, first, None, confirmed=False)
    confirm_covered(warehouse, [TABLE])
    assert read_covered(warehouse) == {TABLE: first}

    record_covered(warehouse, TABLE, second, first, confirmed=False)
    assert read_covered(warehouse) == {TABLE: second}, "for the build itself it holds"
    found = open_covered(warehouse)[TABLE]
    assert found.complete_to == T
    assert found.batch not in {1, 2}, "which batch the versions have is not known"


def test_what_was_never_confirmed_is_forgotten(warehouse: duckdb.DuckDBPyConnection) -> None:
    open_covered(warehouse)
    record_covered(warehouse, TABLE, Covered(T, T, 1), None, confirmed=False)
    confirm_covered(warehouse, [])
    assert read_covered(warehouse) == {}
