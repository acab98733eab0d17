"""When derived tables are behind the tables they read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dms_assets.curation.covered_instants import Covered
from dms_assets.model.names import SourceTable, TableName
from dms_assets.pipeline.dbt.derived_sensor import lagging

T = datetime(2026, 11, 22, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
A: SourceTable = ("office", TableName("app", "a"))
B: SourceTable = ("office", TableName("app", "b"))


def test_a_change_after_the_instant_is_not_shown_yet() -> None:
    covered = {A: Covered(T, T + MINUTE, 2), B: Covered(T, T - MINUTE, 1)}
    assert lagging({A, B}, covered) == T + MINUTE
    assert lagging({B}, covered) is None, "nothing of what it reads changed since"


def test_the_least_instant_is_what_a_derived_table_is_of() -> None:
    covered = {A: Covered(T + MINUTE, T + MINUTE, 2), B: Covered(T, T, 1)}
    assert lagging({A}, covered) is None
    assert lagging({A, B}, covered) == T + MINUTE


def test_nothing_is_said_while_a_table_has_no_instant() -> None:
    assert lagging({A, B}, {A: Covered(T, T + MINUTE, 2)}) is None
    assert lagging(set(), {}) is None


def test_a_table_without_any_change_does_not_lag() -> None:
    assert lagging({A}, {A: Covered(T, None, 1)}) is None
