"""Every bad case planted, every finding expected, every fix run: it is gone afterwards, and nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dms_assets.preflight.finding import Finding, FixKind, Severity
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.preflight.checking import Checked, Named

pytestmark = pytest.mark.postgres

PLANTED = (Path(__file__).parent / "planted.sql").read_text(encoding="utf-8")
TABLES = (
    *("clean", "missing", "mixed", "similar", "a_view", "a_snapshot", "far", "event", "event_2024", "scratch"),
    *("vehicle", "deferred", "computed_key", "keyless_unique", "keyless_changed", "nothing", "by_index", "letter"),
    *("memo", "person", "report", "price", "shift", "derived", "blob", "names", "case_file", "case_file_history"),
    *("ruled", "emptied", "archive", "odd"),
)
DECLARED: dict[str, dict[str, Any]] = {
    "person": {"exclude_columns": ["photo"]},
    "derived": {"exclude_columns": ["told"]},
    "names": {"exclude_columns": ["hidden_op"]},
    "clean": {"exclude_columns": ["id", "gone"]},
    "ruled": {
        "checks": [{"column": "a", "ge": 0}, {"column": "b", "ge": 0}],
        "classification": {"c": "personal"},
    },
}
ERRORS = {
    ("table_missing", "app.missing"),
    ("table_missing", "app.mixed"),
    ("not_a_table", "app.a_view"),
    ("not_a_table", "app.a_snapshot"),
    ("not_a_table", "app.far"),
    ("table_is_partition", "app.event_2024"),
    ("table_unlogged", "app.scratch"),
    ("rows_of_children", "app.vehicle"),
    ("key_deferrable", "app.deferred"),
    ("key_generated", "app.computed_key.b"),
    ("updates_not_captured", "app.keyless_changed"),
    ("updates_not_captured", "app.nothing"),
    ("updates_not_captured", "app.by_index"),
    ("large_values_lost", "app.letter"),
    ("lob_too_long", "app.report.body"),
    ("excluded_key", "app.clean.id"),
    ("excluded_unknown", "app.clean.gone"),
    ("column_names_collide", "app.names.Note"),
    ("column_names_collide", "app.names.ﬁle"),
    ("column_name_taken", "app.names._op"),
    ("column_name_taken", "app.names.op"),
    ("column_name_taken", "app.names.dms_timestamp"),
    ("column_name_taken", "app.names.Valid_From"),
    ("relation_taken", "app.case_file_history"),
    ("clock_skew", "clock"),
}
WARNINGS = {
    ("log_kept_without_limit", "max_slot_wal_keep_size"),
    ("table_names_similar", "app.Similar"),
    ("updates_not_captured", "app.keyless_unique"),
    ("time_zone_lost", "app.shift.begins"),
    ("time_cut", "app.shift.ends"),
    ("large_object", "app.blob.content"),
    ("rule_of_unknown_column", "app.ruled.b"),
    ("rule_of_unknown_column", "app.ruled.c"),
}
NOTES = {
    ("tables_undeclared", "app"),
    ("partitions", "app.event"),
    ("partitions", "app.archive"),
    ("values_not_measured", "app.odd"),
    ("large_values_possible", "app.archive"),
    ("large_values_possible", "app.memo"),
    ("table_without_key", "app.keyless_unique"),
    ("table_without_key", "app.keyless_changed"),
    ("number_without_precision", "app.price.amount"),
    ("generated_column", "app.derived.twice"),
    ("column_name_unusual", "app.names.first name"),
    ("truncate_granted", "app.emptied"),
}
STANDING = {("partitions", "app.event"), ("partitions", "app.archive"), ("values_not_measured", "app.odd")}
"""What no statement ends: partitions are what the table is made of."""


@pytest.fixture
def logical(server: EmbeddedPostgres) -> EmbeddedPostgres:
    """The server with a log of rows, whatever ran before."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("alter system set wal_level = 'logical'")
    server.stop()
    return server.start()


def _expect(found: dict[Named, Finding], **expected: set[Named]) -> None:
    for severity in Severity:
        names = {name for name, finding in found.items() if finding.severity is severity}
        assert names == expected.get(severity.value, set()), severity


def _fix_all(checked: Checked, admin: psycopg.Connection[Any], standing: set[Named]) -> list[Named]:
    """Run the first fix that can be run of the first finding, look again, until nothing is left; what was fixed."""
    fixed: list[Named] = []
    found = checked.findings()
    while left := {name: finding for name, finding in found.items() if name not in standing}:
        name, finding = next(iter(left.items()))
        fixes = [fix for fix in finding.fixes if fix.kind is not FixKind.COMMAND]
        assert fixes, f"{name} has no fix that can be run"
        # A table whose name is taken is left out, then renamed: both fixes together keep it.
        for fix in fixes if finding.code == "relation_taken" else fixes[:1]:
            checked.apply(fix, admin)
        found = checked.findings()
        assert name not in found, f"{name} is still there after: {fixes[0].text}"
        fixed.append(name)
        assert len(fixed) < 100, fixed[-4:]
    return fixed


@pytest.fixture
def planted(logical: EmbeddedPostgres) -> Iterator[tuple[Checked, psycopg.Connection[Any]]]:
    with psycopg.connect(logical.dsn, autocommit=True) as admin:
        admin.execute(PLANTED.encode())
        admin.execute("insert into app.keyless_changed values (1)")
        admin.execute("update app.keyless_changed set a = 2")
        admin.execute("select pg_stat_force_next_flush()")
        admin.execute("grant app_owner to reader")
        admin.execute("grant create on database probation to reader")
        admin.execute("alter role reader replication")
        yield (
            Checked(
                logical,
                "reader",
                "app",
                {name: dict(DECLARED.get(name, {})) for name in TABLES},
                {"lob_max_kb": 40},
                clock=lambda: datetime.now(UTC) + timedelta(minutes=5),
            ),
            admin,
        )
        admin.execute("drop schema app cascade; drop foreign data wrapper nowhere cascade")


def test_every_bad_table_is_found_and_every_fix_ends_its_finding(
    planted: tuple[Checked, psycopg.Connection[Any]],
) -> None:
    checked, admin = planted
    found = checked.findings()
    _expect(found, error=ERRORS, warning=WARNINGS, note=NOTES)
    assert all(finding.rule for finding in found.values())
    fixed = _fix_all(checked, admin, STANDING)
    assert set(fixed) >= (ERRORS | WARNINGS | NOTES) - STANDING
    assert set(checked.findings()) == STANDING
    admin.execute("alter system reset all")


def test_reasons_say_what_was_measured(planted: tuple[Checked, psycopg.Connection[Any]]) -> None:
    checked, _ = planted
    found = checked.findings()
    assert "(1 values of all rows)" in found["large_values_lost", "app.letter"].reason
    assert "needs 49 KB, the limit (lob_max_kb) is 40 KB" in found["lob_too_long", "app.report.body"].reason
    assert "up to 5 digits, 3 after the point" in found["number_without_precision", "app.price.amount"].reason
    assert "counts 1 updates and deletes" in found["updates_not_captured", "app.keyless_changed"].reason
    assert "not today" in found["values_not_measured", "app.odd"].reason
    assert (
        "4 tables of the schema are not extracted: Mixed, Similar, car, spare"
        in found["tables_undeclared", "app"].reason
    )
    checked.dms["lob_max_kb"] = 60
    nearly = checked.findings()["lob_nearly_too_long", "app.report.body"]
    assert nearly.severity is Severity.WARNING
    checked.apply(nearly.fixes[0], planted[1])
    assert ("lob_nearly_too_long", "app.report.body") not in checked.findings()
