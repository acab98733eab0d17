"""Derived tables on a whole system: every figure is the one that the source database itself gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import dagster as dg
import psycopg
import pytest

from dms_assets.curation.covered_instants import read_covered
from dms_assets.curation.warehouse import open_published
from dms_assets.demo.planted_files import plant_corrupt_file
from dms_assets.model.names import TableName
from tests.local_dms.service import until
from tests.system.conftest import System
from tests.system.derived_figures import FIGURES

pytestmark = [pytest.mark.postgres, pytest.mark.system, pytest.mark.timeout(900)]

SHARES = {"failed_share", "breached_share", "completed_share", "reconvicted_share", "failing_share"}


def plain(row: Sequence[Any]) -> tuple[Any, ...]:
    """Values that compare across databases: instants in UTC, numbers of any kind by value."""

    def one(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        return float(value) if isinstance(value, Decimal | float) else value

    return tuple(one(value) for value in row)


def derived_rows(system: System, relation: str) -> tuple[list[tuple[Any, ...]], set[datetime]]:
    """The rows without shares and instant, and the instants."""
    with open_published(system.stack.environment.published_file) as connection:
        found = connection.execute(f"from {relation}")
        names = [column[0] for column in found.description]
        kept = [i for i, name in enumerate(names) if name not in SHARES and name != "complete_to"]
        rows = found.fetchall()
    assert names[-1] == "complete_to"
    return [plain([row[i] for i in kept]) for row in rows], {row[-1].astimezone(UTC) for row in rows}


def source_rows(system: System, sql: str, at: datetime) -> list[tuple[Any, ...]]:
    with psycopg.connect(system.postgres.dsn) as connection:
        connection.execute("set search_path to probation; set timezone to 'UTC'")
        return [plain(row) for row in connection.execute(sql, {"at": at}).fetchall()]


def assert_figures(system: System) -> None:
    wrong = {}
    for relation, sql in FIGURES.items():
        rows, instants = derived_rows(system, relation)
        assert rows, relation
        (at,) = instants
        found, expected = Counter(rows), Counter(source_rows(system, sql, at))
        if found != expected:
            wrong[relation] = (list((found - expected).elements())[:2], list((expected - found).elements())[:2])
    assert not wrong


def change(system: System) -> datetime:
    """Changes of every table that the derived tables read; returns when they were committed, by the source."""
    system.execute(
        "update probation.case_allocation set ended_at = now() - interval '40 days'"
        " where offender_id % 5 = 0 and allocated_at < now() - interval '50 days'",
        "insert into probation.contact (offender_id, practitioner_id, contact_type, happened_at, minutes, outcome)"
        " select offender_id, practitioner_id, 'OFFICE', now() - random() * interval '300 days', 30,"
        " (array['ATTENDED', 'FAILED TO ATTEND'])[1 + offender_id % 2]::probation.contact_outcome"
        " from probation.offender, generate_series(1, 3)",
        "update probation.offender set risk = 'VERY HIGH' where offender_id % 7 = 0",
        "delete from probation.payment where payment_id % 9 = 0",
        "update probation.requirement set completed_at = localtimestamp where hours_done > 20",
        "insert into probation.assessment (offender_id, completed_at, version, scores, answers)"
        " select offender_id, now() - interval '10 days', 1, '{1}', '{}' from probation.offender"
        " where offender_id % 3 = 0",
        "update probation.practitioner set left_on = current_date - 1 where practitioner_id = 3",
        "update probation.office set name = 'Moved office' where office_id = 4",
        "update probation.conviction set fine = coalesce(fine, 0) + 10 where conviction_id % 4 = 0",
    )
    with psycopg.connect(system.postgres.dsn) as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    return row[0].astimezone(UTC)


def catch_up(system: System, beyond: datetime, relations: Collection[str]) -> None:
    """Until derived tables are of an instant after `beyond`, as the daemon would come to it by itself."""

    def reached() -> bool:
        system.drive.settle(system.spec.name, 1)
        system.drive.tick("derived_sensor")
        instants = [derived_rows(system, relation)[1] for relation in relations]
        return all(found and min(found) >= beyond for found in instants)

    until(reached, 300)


def test_every_figure_is_the_sources_own(system: System) -> None:
    system.load()
    assert not system.drive.failures
    assert_built_by_automation(system)
    with open_published(system.stack.environment.published_file) as connection:
        loaded = read_covered(connection)
    assert len(loaded) == len(system.spec.tables)
    assert_figures(system)

    committed = change(system)
    system.flush()
    catch_up(system, committed, FIGURES)
    assert not system.drive.failures
    assert_figures(system)
    assert_rows_and_instants_are_told(system)
    assert_a_held_table_holds_the_instant(system)


def assert_rows_and_instants_are_told(system: System) -> None:
    """Row counts for the plots, on every materialisation of validated, curated and derived tables."""
    for key in system.drive.instance.all_asset_keys():
        if key.path[1] not in {"validated", "curated", "derived"}:
            continue
        event = system.drive.instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        rows = metadata["dagster/row_count"].value
        assert isinstance(rows, int), key
        assert rows > 0, key
        if key.path[1] == "derived":
            with open_published(system.stack.environment.published_file) as connection:
                found = connection.execute(f"select count(*) from {key.path[0]}_derived.{key.path[2]}").fetchone()
            assert found == (rows,)
            assert "complete to" in metadata


def assert_a_held_table_holds_the_instant(system: System) -> None:
    """While contact is held, what reads it stays as of the instant before; what does not goes on."""
    contact = TableName("probation", "contact")
    before = {relation: derived_rows(system, relation) for relation in FIGURES}
    plant_corrupt_file(system.stack.environment.landing_dir, system.spec, contact)
    system.drive.settle(system.spec.name, 3)
    system.execute("update probation.payment set amount = amount + 1", "update probation.offender set risk = 'LOW'")
    with psycopg.connect(system.postgres.dsn) as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    system.flush()

    catch_up(
        system, row[0].astimezone(UTC), ["enforcement_derived.fines_by_court", "supervision_derived.reassessment_due"]
    )
    rows, instants = derived_rows(system, "supervision_derived.practitioner_workload")
    assert (Counter(rows), instants) == (
        Counter(before["supervision_derived.practitioner_workload"][0]),
        before["supervision_derived.practitioner_workload"][1],
    ), "offender changed, but with contact held the mart shows neither"
    due, _ = derived_rows(system, "supervision_derived.reassessment_due")
    assert {row[3] for row in due} == {"LOW"}, "it does not read contact"


def assert_built_by_automation(system: System) -> None:
    for spec in system.drive.definitions.resolve_all_asset_specs():
        if spec.key.path[1] == "derived":
            event = system.drive.instance.get_latest_materialization_event(spec.key)
            assert event is not None, spec.key
            run = system.drive.instance.get_run_by_id(event.run_id)
            assert isinstance(run, dg.DagsterRun)
            assert "dagster/from_automation_condition" in run.tags
