"""`dms-assets query`: answers, as of an instant too, and nothing but answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from dms_assets.cli import cli
from dms_assets.curation.covered_instants import Covered, confirm_covered, open_covered, record_covered
from dms_assets.model.names import TableName

CHANGES = """
    create schema office_app_curated; create schema sums_derived; create schema platform;
    create table platform.pinned_snapshots as
        select 'office' as source, 'app' as table_schema, 'thing' as table_name, 2 as batch;
    create table office_app_curated.thing_versions as from (values
        (null, null, 'LOAD', timestamptz '2026-01-01 00:00:00+00'),
        (1, 'old', 'L', timestamptz '2026-01-01 00:00:00+00'),
        (2, 'gone', 'L', timestamptz '2026-01-01 00:00:00+00'),
        (1, 'new', 'U', timestamptz '2026-01-02 00:00:00+00'),
        (2, null, 'D', timestamptz '2026-01-02 00:00:00+00')
    ) as log (id, name, _op, _commit_at);
    create view office_app_curated.thing_history as
        select id, name, valid_from, valid_to, valid_to = timestamptz '2999-01-01 00:00:00+00' as is_current
        from (select *, _commit_at as valid_from, coalesce(lead(_commit_at) over (partition by id order by _commit_at),
              timestamptz '2999-01-01 00:00:00+00') as valid_to
              from office_app_curated.thing_versions where _op <> 'LOAD') as log where _op <> 'D';
    create view office_app_curated.thing as
        select id, name from office_app_curated.thing_history where is_current;
    create table sums_derived.things as select 1 as things, timestamptz '2026-01-02 00:00:00+00' as complete_to;
"""
COMPLETE_TO = datetime(2026, 1, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    published = home / "warehouse" / "published" / "warehouse.duckdb"
    published.parent.mkdir(parents=True)
    with duckdb.connect(str(published)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(CHANGES)
        open_covered(connection)
        table = ("office", TableName("app", "thing"))
        record_covered(connection, table, Covered(COMPLETE_TO, COMPLETE_TO, 2), None, confirmed=False)
        confirm_covered(connection, [table])
    return home


def ask(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["query", "--home", str(home), *arguments])


def rows(result: Result) -> list[list[object]]:
    assert result.exit_code == 0, result.output
    found: list[list[object]] = json.loads(result.stdout)["rows"]
    return found


def test_current_and_as_of_under_the_same_name(home: Path) -> None:
    sql = "select id, name from office_app_curated.thing order by id"
    assert rows(ask(home, "--format", "json", sql)) == [[1, "new"]]
    assert rows(ask(home, "--format", "json", "--as-of", "2026-01-01T12:00:00Z", sql)) == [[1, "old"], [2, "gone"]]
    assert rows(ask(home, "--format", "json", "--as-of", "2026-01-02T00:00:00Z", sql)) == [[1, "new"]]
    assert rows(ask(home, "--format", "json", "--as-of", "2026-01-02T01:00:00+02:00", sql)) == [[1, "old"], [2, "gone"]]


def test_as_of_holds_however_the_table_is_named(home: Path) -> None:
    for relation in ("warehouse.office_app_curated.thing", '"office_app_curated"."thing"', "OFFICE_APP_CURATED.THING"):
        found = ask(home, "--format", "json", "--as-of", "2026-01-01T12:00:00Z", f"select count(*) from {relation}")
        assert rows(found) == [[2]], relation


def test_the_instant_the_answer_is_complete_to_is_told(home: Path) -> None:
    found = ask(home, "from office_app_curated.thing")
    assert "1 row, every change up to 2026-01-03T00:00:00+00:00 is in" in found.stderr
    assert "2026" not in found.stdout
    told = json.loads(ask(home, "--format", "json", "from office_app_curated.thing_history").stdout)
    assert told["complete_to"] == "2026-01-03T00:00:00+00:00"
    derived = json.loads(ask(home, "--format", "json", "from sums_derived.things, office_app_curated.thing").stdout)
    assert derived["complete_to"] == "2026-01-02T00:00:00+00:00", "the earlier of the two"
    assert json.loads(ask(home, "--format", "json", "select 1").stdout)["complete_to"] is None


def test_a_derived_table_answers_as_of_its_own_instant_only(home: Path) -> None:
    assert ask(home, "--as-of", "2026-01-02T00:00:00Z", "from sums_derived.things").exit_code == 0
    found = ask(home, "--as-of", "2026-01-01T12:00:00Z", "from sums_derived.things")
    assert found.exit_code == 1
    assert "sums_derived.things is derived, and as of 2026-01-02T00:00:00+00:00" in found.stderr


def test_formats(home: Path) -> None:
    sql = "select id, name, null as nothing, 1.50::decimal(9,2) as amount, timestamptz '2026-01-01 00:00:00+00' as at"
    sql += " from office_app_curated.thing"
    assert ask(home, "--format", "csv", sql).stdout == (
        "id,name,nothing,amount,at\n1,new,,1.50,2026-01-01T00:00:00+00:00\n"
    )
    assert rows(ask(home, "--format", "json", sql)) == [[1, "new", None, "1.50", "2026-01-01T00:00:00+00:00"]]
    header, line = ask(home, sql).stdout.splitlines()
    assert header.split() == ["id", "name", "nothing", "amount", "at"]
    assert line.split() == ["1", "new", "1.50", "2026-01-01T00:00:00+00:00"]


def test_a_wide_answer_is_not_cut_in_a_pipe(home: Path) -> None:
    found = ask(home, "select repeat('x', 500) as long, '[bold]' as markup")
    assert "x" * 500 in found.stdout
    assert "[bold]" in found.stdout


@pytest.mark.parametrize("instant", ["2026-01-01", "2026-01-01T12:00:00", "yesterday", "1767225600"])
def test_an_instant_without_a_zone_is_refused(home: Path, instant: str) -> None:
    found = ask(home, "--as-of", instant, "select 1")
    assert found.exit_code == 2
    assert "2026-" in found.stderr


@pytest.mark.parametrize(
    ("instant", "told"),
    [
        ("2026-01-04T00:00:00Z", "is complete to 2026-01-03T00:00:00+00:00 only"),
        ("2025-12-31T23:59:59Z", "is known from its first load on (2026-01-01T00:00:00+00:00)"),
    ],
)
def test_an_instant_that_nothing_is_known_of_is_refused(home: Path, instant: str, told: str) -> None:
    found = ask(home, "--as-of", instant, "select count(*) from office_app_curated.thing")
    assert found.exit_code == 1
    assert told in found.stderr
    assert ask(home, "--as-of", instant, "select 1").exit_code == 0, "it reads no such table"


@pytest.mark.parametrize(
    "sql",
    [
        "delete from office_app_curated.thing_versions",
        "create table x (a integer)",
        "drop view office_app_curated.thing",
        "copy (select 1) to '{outside}'",
        "attach '{outside}' as other",
        "set enable_external_access = true",
        "pragma enable_external_access = true",
        "install httpfs",
        "call pragma_version()",
        "select 1; select 2",
        "select content from read_text('{secret}')",
        "from read_csv('{secret}')",
        "from '{secret}'",
        "from glob('/*')",
        "select * from sql_in_python",
        "",
        "selct 1",
    ],
)
def test_nothing_is_written_and_no_file_read(home: Path, tmp_path: Path, sql: str) -> None:
    published = home / "warehouse" / "published" / "warehouse.duckdb"
    before = published.read_bytes()
    secret = tmp_path / "secret.csv"
    secret.write_text("a-secret\n1\n")
    sql_in_python = "a name of Python is no table"
    found = ask(home, sql.format(outside=tmp_path / "outside", secret=secret))
    assert found.exit_code == 1, found.output
    assert found.stderr.startswith("error: ")
    assert "a-secret" not in found.output
    assert sql_in_python not in found.output
    assert not (tmp_path / "outside").exists()
    assert published.read_bytes() == before


def test_what_only_asks_is_answered(home: Path) -> None:
    for sql in ("describe office_app_curated.thing", "explain select 1", "summarize sums_derived.things", "values (1)"):
        assert ask(home, sql).exit_code == 0, sql
    assert "thing_history" in ask(home, "--format", "csv", "show all tables").stdout


def test_without_a_read_copy_the_remedy_is_told(tmp_path: Path) -> None:
    found = ask(tmp_path, "select 1")
    assert found.exit_code == 3
    assert "is not there yet" in found.stderr
    assert "--home" in found.stderr


def test_help_has_examples_and_exit_codes() -> None:
    text = CliRunner().invoke(cli, ["query", "--help"]).output
    assert "Examples:" in text
    assert "--as-of 2026-" in text
    assert "3  there is no read copy yet" in text
