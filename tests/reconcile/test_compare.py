"""The comparison finds what is planted: in current and history, with and without a key; and nothing else."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import duckdb
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.reconcile.compare import MOST_DIFFERENCES, WarehouseNotReadableError, compare
from dms_assets.reconcile.comparison import Fault, TableComparison
from dms_assets.reconcile.negative_control import NoControlError, negative_control
from dms_assets.reconcile.source_state import SourceState, read_source, source_snapshot
from dms_assets.sample.postgres import EmbeddedPostgres

pytestmark = pytest.mark.postgres


def column(name: str, logical: str) -> ColumnMetadata:
    return ColumnMetadata(name, LogicalType.parse(logical), logical)


PERSON = TableMetadata(
    TableName("shop", "person"), (column("id", "int64"), column("name", "string"), column("score", "float64")), ("id",)
)
LINE = TableMetadata(
    TableName("shop", "line"), (column("order_no", "int32"), column("day", "date"), column("sold", "boolean")),
    ("order_no", "day"),
)  # fmt: skip
LOG = TableMetadata(TableName("shop", "log"), (column("at", "timestamptz"), column("text", "string")))
TABLES = [PERSON, LINE, LOG]
PEOPLE = 60


@pytest.fixture(scope="module")
def state(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> SourceState:
    with psycopg.connect(server.dsn) as connection:
        connection.execute("create schema shop")
        connection.execute("create table shop.person (id bigint primary key, name text, score float8)")
        connection.execute("create table shop.line (order_no int, day date, sold bool, primary key (order_no, day))")
        connection.execute("create table shop.log (at timestamptz, text text)")
        connection.execute(
            f"insert into shop.person select n, 'p' || n, n / 7.0 from generate_series(1, {PEOPLE}) n"  # type: ignore[arg-type]
        )
        connection.execute("insert into shop.line values (1, '2026-01-01', true), (1, '2026-01-02', null)")
        connection.execute("insert into shop.log select '2026-01-01 00:00Z', 'same' from generate_series(1, 3)")
        connection.execute("insert into shop.log values ('2026-01-01 00:00Z', 'other')")
    with source_snapshot(server.dsn) as snapshot:
        return read_source(server.dsn, snapshot, TABLES, tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def faithful(state: SourceState, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curated as it should be: history with an older and a later version around every row, and views of it."""
    path: Path = tmp_path_factory.mktemp("faithful") / "warehouse.duckdb"
    at = f"timestamptz '{state.at.isoformat()}'"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema crm_shop_curated")
        rows = {
            "person": f"select n id, 'p' || n as name, n / 7.0::double score from range(1::bigint, {PEOPLE + 1}) r(n)",
            "line": "select 1::integer order_no, unnest([date '2026-01-01', date '2026-01-02']) as day,"
            " unnest([true, null]) sold",
            "log": "select timestamptz '2026-01-01 00:00Z' as at, unnest(['same', 'same', 'same', 'other']) as text",
        }
        for name, query in rows.items():
            # Valid from T itself on, to just after it: both ends of the half-open interval count.
            connection.execute(
                f"create table crm_shop_curated.{name}_versions as select *, {at} valid_from,"
                f" {at} + interval 1 microsecond valid_to from ({query})"
            )
            connection.execute(f"create view crm_shop_curated.{name}_history as from crm_shop_curated.{name}_versions")
            connection.execute(
                f"create view crm_shop_curated.{name} as select * exclude (valid_from, valid_to)"
                f" from warehouse.crm_shop_curated.{name}_versions where valid_from = {at}"
            )
        connection.execute(
            "insert into crm_shop_curated.person_versions select id, 'before', 0,"
            " valid_from - interval 1 second, valid_from from crm_shop_curated.person_versions"
        )
        connection.execute(
            "insert into crm_shop_curated.person_versions select id, 'after', 0, valid_to, valid_to + interval 9 second"
            f" from crm_shop_curated.person_versions where valid_from = {at}"
        )
    return path


def changed(faithful: Path, folder: Path, *statements: str) -> Path:
    copy = folder / "warehouse.duckdb"
    shutil.copyfile(faithful, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute("use warehouse.crm_shop_curated")
        for statement in statements:
            assert connection.execute(statement).fetchall() != [(0,)], f"nothing done by: {statement}"
    return copy


def found(state: SourceState, path: Path, table: TableMetadata, *, as_of: bool = False) -> TableComparison:
    comparison = compare(state, path, "crm", TABLES, as_of=as_of)
    assert [other.table for other in comparison.unequal] in ([], [table.name])
    return comparison.tables[table.name]


@pytest.mark.parametrize("as_of", [False, True])
def test_faithful_copy_is_equal(state: SourceState, faithful: Path, as_of: bool) -> None:
    comparison = compare(state, faithful, "crm", TABLES, as_of=as_of)
    assert comparison.equal
    assert comparison.unequal == []
    person = comparison.tables[PERSON.name]
    assert (person.source_rows, person.curated_rows) == (PEOPLE, PEOPLE)
    assert person.at == (state.at if as_of else None)
    assert json.dumps(person.to_json())


@pytest.mark.parametrize("as_of", [False, True])
def test_changed_dropped_and_invented_rows_are_named_and_their_values_are_not(
    state: SourceState, faithful: Path, tmp_path: Path, as_of: bool
) -> None:
    now = "valid_from = (select max(valid_from) from line_versions)"
    path = changed(
        faithful,
        tmp_path,
        f"update person_versions set name = 'secret', score = 9 where id = 5 and {now}",
        f"delete from person_versions where id = 6 and {now}",
        "insert into person_versions select 1000, 'new', 1, valid_from, valid_to from person_versions"
        f" where id = 7 and {now}",
    )
    result = found(state, path, PERSON, as_of=as_of)
    assert (result.different, result.missing, result.extra) == (1, 1, 1)
    different, missing, extra = result.differences
    assert (different.fault, different.key, different.columns) == (Fault.DIFFERENT, {"id": "5"}, ("name", "score"))
    assert different.values["name"] == ("p5", "secret")
    assert (missing.fault, missing.key) == (Fault.MISSING, {"id": "6"})
    assert (extra.fault, extra.key) == (Fault.EXTRA, {"id": "1000"})
    assert "secret" not in str(different) + repr(different) + json.dumps(result.to_json())


def test_duplicate_of_a_keyed_row_is_extra(state: SourceState, faithful: Path, tmp_path: Path) -> None:
    now = "valid_from = (select max(valid_from) from line_versions)"
    path = changed(faithful, tmp_path, f"insert into person_versions from person_versions where id = 5 and {now}")
    result = found(state, path, PERSON)
    assert (result.different, result.missing, result.extra) == (0, 0, 1)


def test_null_and_false_differ_under_a_composite_key(state: SourceState, faithful: Path, tmp_path: Path) -> None:
    path = changed(faithful, tmp_path, "update line_versions set sold = false where sold is null")
    result = found(state, path, LINE)
    assert result.differences[0].key == {"order_no": "1", "day": "20455"}
    assert result.differences[0].values == {"sold": (None, "false")}


def test_log_without_a_key_may_repeat_but_not_lose_or_invent(
    state: SourceState, faithful: Path, tmp_path: Path
) -> None:
    again = changed(faithful, tmp_path, "insert into log_versions from log_versions where text = 'other'")
    result = found(state, again, LOG)
    assert result.equal
    assert result.duplicates == 1
    lost = changed(faithful, tmp_path, "delete from log_versions where rowid = 0")
    assert (found(state, lost, LOG).missing, found(state, lost, LOG).extra) == (1, 0)
    invented = changed(faithful, tmp_path, "update log_versions set text = 'made up' where text = 'other'")
    assert (found(state, invented, LOG).missing, found(state, invented, LOG).extra) == (1, 1)


def test_wrong_shape_is_a_fault_of_its_own(state: SourceState, faithful: Path, tmp_path: Path) -> None:
    path = changed(
        faithful,
        tmp_path,
        "drop view person",
        "create view person as select id::integer as id, name from person_versions",
    )
    assert found(state, path, PERSON).structure == ("column id is INTEGER, not BIGINT", "no column score")
    with duckdb.connect(str(path)) as connection:
        connection.execute("drop view crm_shop_curated.person")
    assert found(state, path, PERSON).structure == ("no relation crm_shop_curated.person",)


def test_many_differences_are_counted_whole_and_named_in_part(
    state: SourceState, faithful: Path, tmp_path: Path
) -> None:
    path = changed(faithful, tmp_path, "update person_versions set score = -1")
    result = found(state, path, PERSON)
    assert result.different == PEOPLE
    assert len(result.differences) == MOST_DIFFERENCES


@pytest.mark.parametrize("as_of", [False, True])
def test_negative_control_finds_exactly_what_it_planted(
    state: SourceState, faithful: Path, tmp_path: Path, as_of: bool
) -> None:
    before = faithful.read_bytes()
    control = negative_control(state, faithful, "crm", TABLES, tmp_path / "scratch", as_of=as_of)
    assert control.exact
    assert control.planted.table == PERSON.name
    assert (control.planted.changed_key, control.planted.dropped_key) == ({"id": "1"}, {"id": "10"})
    assert faithful.read_bytes() == before
    assert list((tmp_path / "scratch").iterdir()) == []


def test_negative_control_is_not_exact_on_a_wrong_warehouse(state: SourceState, faithful: Path, tmp_path: Path) -> None:
    wrong = changed(faithful, tmp_path, "update line_versions set sold = not sold where sold")
    assert not negative_control(state, wrong, "crm", TABLES, tmp_path / "scratch").exact
    with pytest.raises(NoControlError, match="no table has a key"):
        negative_control(state, faithful, "crm", [LOG], tmp_path / "scratch")


def test_missing_and_locked_warehouses_are_named(state: SourceState, tmp_path: Path) -> None:
    with pytest.raises(WarehouseNotReadableError, match="build curated first"):
        compare(state, tmp_path / "none.duckdb", "crm", TABLES, as_of=False)
    broken = tmp_path / "broken.duckdb"
    broken.write_bytes(b"not a database" * 1_000)
    with pytest.raises(WarehouseNotReadableError, match=r"broken\.duckdb"):
        compare(state, broken, "crm", TABLES, as_of=False)


@pytest.mark.parametrize(
    ("microseconds", "rows", "different"),
    [(-1_000_001, 0, 0), (-1_000_000, PEOPLE, PEOPLE), (-1, PEOPLE, PEOPLE), (0, PEOPLE, 0), (1, PEOPLE, PEOPLE)],
)
def test_as_of_takes_the_versions_valid_at_that_microsecond(
    state: SourceState, faithful: Path, microseconds: int, rows: int, different: int
) -> None:
    moved = SourceState(state.at + timedelta(microseconds=microseconds), state.lsn, state.folder, state.rows)
    result = compare(moved, faithful, "crm", [PERSON], as_of=True).tables[PERSON.name]
    assert (result.curated_rows, result.different) == (rows, different)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fates=st.dictionaries(st.integers(1, PEOPLE), st.sampled_from(["changed", "dropped"]), max_size=8),
    invented=st.sets(st.integers(PEOPLE + 1, PEOPLE + 50), max_size=8),
)
def test_any_set_of_faults_is_counted_exactly(
    state: SourceState, faithful: Path, tmp_path: Path, fates: dict[int, str], invented: set[int]
) -> None:
    changes = [f"update person_versions set name = null where id = {key}" for key in fates if fates[key] == "changed"]
    drops = [f"delete from person_versions where id = {key}" for key in fates if fates[key] == "dropped"]
    inserts = [
        f"insert into person_versions select {key}, null, null, max(valid_from), max(valid_to) from line_versions"
        for key in invented
    ]
    path = changed(faithful, tmp_path, *changes, *drops, *inserts)
    result = found(state, path, PERSON)
    assert (result.different, result.missing, result.extra) == (len(changes), len(drops), len(inserts))
    assert result.equal == (not fates and not invented)
    named = {(difference.fault.value, difference.key["id"]) for difference in result.differences}
    assert {key for fault, key in named if fault == "different"} == {str(k) for k, v in fates.items() if v == "changed"}
    assert {key for fault, key in named if fault == "missing"} == {str(k) for k, v in fates.items() if v == "dropped"}
    assert {key for fault, key in named if fault == "extra"} == {str(key) for key in invented}
