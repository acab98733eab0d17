"""Every permitted difference, and only it: source values in PostgreSQL against a hand-built warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import psycopg
import pytest

from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.reconcile.comparable_text import NoComparisonError, curated_text, source_text
from dms_assets.reconcile.compare import compare_table, open_warehouse
from dms_assets.reconcile.normalisation import NORMALISATIONS, TABLE_RULES, Normalisation, TableRule, normalisation
from dms_assets.reconcile.postgres_columns import PostgresColumn, SourceChangedError, postgres_columns
from dms_assets.reconcile.source_state import SourceState, read_source, source_snapshot
from dms_assets.sample.postgres import EmbeddedPostgres

pytestmark = pytest.mark.postgres


@dataclass(frozen=True)
class Case:
    """A source value, what curated must hold (DuckDB's spelling), and near misses it must not hold."""

    source_type: str
    source: str
    logical: str
    right: str
    wrong: tuple[str, ...]


NAN, UNSIZED, MONEY, BLANKS, DATES, MOMENTS, TIMES, SPANS, PRINTED = (rule.name for rule in NORMALISATIONS)
LAST, FIRST = "9999-12-31", "4713-01-01 (BC)"

RULES: dict[str, tuple[Case, ...]] = {
    NAN: (
        Case("numeric(10,2)", "NaN", "decimal(10,2)", "null", ("0",)),
        Case("numeric(10,2)", "-0.50", "decimal(10,2)", "-0.5", ("0.5", "null", "-0.51")),
        Case("numeric(38,10)", "9" * 28 + "." + "9" * 10, "decimal(38,10)", "9" * 28 + "." + "9" * 10, ("1",)),
        Case("numeric(3,-2)", "12345", "decimal(5,0)", "12300", ("12345",)),
    ),
    UNSIZED: (
        Case("numeric", "0.611111104488373", "decimal(28,6)", "0.611111", ("0.611112",)),
        Case("numeric", "2.0000005", "decimal(28,6)", "2.000001", ("2.000000",)),
        Case("numeric", "-2.0000005", "decimal(28,6)", "-2.000001", ("-2.000000",)),
        Case("numeric", "NaN", "decimal(28,6)", "null", ("0",)),
        Case("numeric", "-Infinity", "decimal(28,6)", "null", ("0",)),
        Case("numeric", "9" * 23, "decimal(28,6)", "null", ("9" * 22,)),
        Case("numeric", "9" * 22, "decimal(28,6)", "9" * 22, ("null",)),
    ),
    MONEY: (Case("money", "-12.34", "decimal(38,4)", "-12.34", ("12.34", "-12.3401")),),
    BLANKS: (
        Case("char(6)", "ab", "string", "'ab'", ("'ab    '", "'a'")),
        Case("char(6)", "", "string", "''", ("null", "' '")),
        Case("char(6)", "  ab ", "string", "'  ab'", ("'ab'",)),
    ),
    DATES: (
        Case("date", "infinity", "date", f"date '{LAST}'", ("date 'infinity'", "null")),
        Case("date", "-infinity", "date", f"date '{FIRST}'", ("date '-infinity'",)),
        Case(
            "date", "0044-03-15 BC", "date", "date '0044-03-15 (BC)'", ("date '0044-03-15'", "date '0043-03-15 (BC)'")
        ),
        Case("date", "5874897-12-31", "date", "date '5874897-12-31'", (f"date '{LAST}'",)),
    ),
    MOMENTS: (
        Case("timestamp", "infinity", "timestamp", f"timestamp '{LAST} 23:59:59'", ("timestamp 'infinity'",)),
        Case("timestamptz", "-infinity", "timestamptz", f"timestamptz '{FIRST} 00:00:00+00'", ("null",)),
        Case("timestamptz", "294276-12-31 23:59:59+00", "timestamptz", f"timestamptz '{LAST} 23:59:59+00'", ("null",)),
        Case("timestamp", "294246-12-31 23:59:59", "timestamp", "timestamp '294246-12-31 23:59:59'", ("null",)),
        Case(
            "timestamp",
            "2026-07-01 12:00:00.000001",
            "timestamp",
            "timestamp '2026-07-01 12:00:00.000001'",
            ("timestamp '2026-07-01 11:00:00.000001'", "timestamp '2026-07-01 12:00:00'"),
        ),
        # The database's zone is London, where this is one in the morning.
        Case(
            "timestamptz",
            "2026-07-01 01:00:00",
            "timestamptz",
            "timestamptz '2026-07-01 00:00:00+00'",
            ("timestamptz '2026-07-01 01:00:00+00'",),
        ),
    ),
    TIMES: (
        Case(
            "time", "12:34:56.789999", "time", "time '12:34:56.789'", ("time '12:34:56.79'", "time '12:34:56.789999'")
        ),
        Case("time", "24:00:00", "time", "time '23:59:59.999'", ("time '00:00:00'", "null")),
        Case("timetz", "12:00:00+05", "time", "time '12:00:00'", ("time '07:00:00'",)),
    ),
    SPANS: (
        Case(
            "interval",
            "1 year 2 months 3 days 04:05:06",
            "string",
            "'1 YEAR, 2 MONTHS, 3 DAYS, 4 HOURS, 5 MINUTES, 6 SECONDS'",
            ("'1 year 2 mons 3 days 04:05:06'",),
        ),
        Case(
            "interval",
            "-1 year 25 days -100:00:01.5",
            "string",
            "'-1 YEAR, 25 DAYS, -100 HOURS, -1.5 SECONDS'",
            ("''",),
        ),
        Case("interval", "0", "string", "'0 SECONDS'", ("''", "null")),
        Case("interval", "infinity", "string", "'infinity'", ("null",)),
    ),
    PRINTED: (
        Case("json", '{"b" : 1,  "a":2}', "string", """'{"b" : 1,  "a":2}'""", ("""'{"b":1,"a":2}'""",)),
        Case("jsonb", '{"b":1,"a":2}', "string", """'{"a": 2, "b": 1}'""", ("""'{"b":1,"a":2}'""",)),
        Case(
            "uuid", "ABCDEF00-0000-0000-0000-000000000000", "string", "'abcdef00-0000-0000-0000-000000000000'", ("''",)
        ),
        Case("inet", "192.0.2.17", "string", "'192.0.2.17'", ("'192.0.2.17/32'",)),
        Case("text[]", '{NULL,"NULL","a,b"}', "string", """'{NULL,"NULL","a,b"}'""", ("""'{NULL,NULL,"a,b"}'""",)),
        Case("timestamptz[]", "{2026-07-01 01:00:00}", "string", """'{"2026-07-01 00:00:00+00"}'""", ("null",)),
        Case("numeric", "1.5000", "string", "'1.5000'", ("'1.5'",)),
        Case("numeric", "NaN", "string", "'NaN'", ("null", "'nan'")),
        Case("numeric(50,5)", "1", "string", "'1.00000'", ("'1'",)),
        Case("varchar(20)", "a ", "string", "'a '", ("'a'",)),
        Case("text", "", "string", "''", ("null",)),
        Case("text", "é\n😀\\", "string", "'é' || chr(10) || '😀\\'", ("'e'",)),
        Case("text", "x" * 40_000, "string", "repeat('x', 40000)", ("repeat('x', 39999)", "repeat('x', 39999) || 'y'")),
    ),
}
EXACT: tuple[Case, ...] = (
    Case("boolean", "false", "boolean", "false", ("true", "null")),
    Case("smallint", "-32768", "int16", "-32768", ("-32767",)),
    Case("integer", "2147483647", "int32", "2147483647", ("0",)),
    Case("bigint", "9007199254740993", "int64", "9007199254740993", ("9007199254740992",)),
    Case("real", "0.1", "float32", "0.1", ("0.10000001",)),
    Case("double precision", "0.1", "float64", "0.1", ("0.1::float::double", "0.10000000000000002")),
    Case("double precision", "-0", "float64", "'-0'::double", ("0",)),
    Case("double precision", "NaN", "float64", "'nan'", ("null", "'inf'")),
    Case("real", "-Infinity", "float32", "'-inf'", ("'inf'",)),
    Case("bytea", "\\x00ff5c", "binary", "'\\x00\\xFF\\x5C'::blob", ("'\\x00\\xFF'::blob", "null")),
    Case("bytea", "\\x" + "ab" * 5_000, "binary", "from_hex(repeat('ab', 5000))", ("from_hex(repeat('ab', 4999))",)),
)
CASES = [*((name, case) for name, cases in RULES.items() for case in cases), *((None, case) for case in EXACT)]


def table_of(number: int) -> TableMetadata:
    case = CASES[number][1]
    columns = (
        ColumnMetadata("id", LogicalType.parse("int32"), "integer"),
        ColumnMetadata("Value", LogicalType.parse(case.logical), case.source_type),
    )
    return TableMetadata(TableName("cases", f"case_{number}"), columns, key=("id",))


@pytest.fixture(scope="module")
def recorded(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> SourceState:
    with psycopg.connect(server.dsn) as connection:
        connection.execute("create schema cases")
        for number, (_, case) in enumerate(CASES):
            table = f"cases.case_{number}"
            connection.execute(f'create table {table} (id int primary key, "Value" {case.source_type})')  # type: ignore[arg-type]
            connection.execute(f"insert into {table} values (1, %s), (2, null)", (case.source,))  # type: ignore[arg-type]
    tables = [table_of(number) for number in range(len(CASES))]
    with source_snapshot(server.dsn) as snapshot:
        return read_source(server.dsn, snapshot, tables, tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path: Path = tmp_path_factory.mktemp("warehouse") / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        for number, (_, case) in enumerate(CASES):
            sql_type = LogicalType.parse(case.logical).sql
            for suffix, value in [("", case.right), *((f"w{n}", wrong) for n, wrong in enumerate(case.wrong))]:
                schema = f"s{suffix}_cases_curated"
                connection.execute(f"create schema if not exists {schema}")
                table = f"{schema}.case_{number}"
                connection.execute(f'create table {table} (id integer, "Value" {sql_type})')
                connection.execute(f"insert into {table} values (1, ({value})::{sql_type}), (2, null)")
    with open_warehouse(path) as connection:
        yield connection


def name_of(number: int) -> str:
    case = CASES[number][1]
    return f"{case.source_type} {case.source[:30]}"


@pytest.mark.parametrize("number", range(len(CASES)), ids=name_of)
def test_the_right_value_is_equal_and_near_misses_are_not(
    number: int, recorded: SourceState, warehouse: duckdb.DuckDBPyConnection
) -> None:
    right = compare_table(warehouse, recorded, "s", table_of(number), at=None)
    assert right.equal, right.differences[0].values if right.differences else right.structure
    assert right.source_rows == right.curated_rows == 2
    for n, wrong in enumerate(CASES[number][1].wrong):
        found = compare_table(warehouse, recorded, f"sw{n}", table_of(number), at=None)
        assert not found.structure
        assert (found.different, found.missing, found.extra) == (1, 0, 0), f"{wrong} passed"
        assert found.differences[0].columns == ("Value",)


def test_the_published_table_is_complete_and_each_rule_has_a_case(server: EmbeddedPostgres) -> None:
    assert set(RULES) == {rule.name for rule in NORMALISATIONS}
    published: tuple[Normalisation | TableRule, ...] = (*NORMALISATIONS, *TABLE_RULES)
    for rule in published:
        assert rule.rule
        assert rule.applies_to
        assert rule.reference.startswith("dms.md ")
    with psycopg.connect(server.dsn) as connection:
        columns = postgres_columns(connection, [table_of(number) for number in range(len(CASES))])
    for number, (expected, _) in enumerate(CASES):
        rule_found = normalisation(columns[table_of(number).name][1])
        assert (rule_found.name if rule_found else None) == expected


def test_domains_are_what_they_are_made_of(server: EmbeddedPostgres) -> None:
    metadata = TableMetadata(
        TableName("domains", "t"), (ColumnMetadata("c", LogicalType.parse("decimal(6,2)"), "domains.outer"),)
    )
    with psycopg.connect(server.dsn) as connection:
        connection.execute("create schema domains")
        connection.execute("create domain domains.inner as numeric(6,2)")
        connection.execute("create domain domains.outer as domains.inner")
        connection.execute("create table domains.t (c domains.outer)")
        (column,) = postgres_columns(connection, [metadata])[metadata.name]
        assert (column.base_type, column.typmod) == ("numeric", (6 << 16 | 2) + 4)
        gone = TableMetadata(metadata.name, (*metadata.columns, ColumnMetadata("d", LogicalType.parse("date"), "date")))
        with pytest.raises(SourceChangedError, match=r"no column d in table domains\.t"):
            postgres_columns(connection, [gone])
        connection.rollback()


def test_types_without_a_rule_are_refused() -> None:
    with pytest.raises(NoComparisonError, match="add a rule"):
        source_text(PostgresColumn("c", "money9", -1, LogicalType.parse("int64")))
    with pytest.raises(NoComparisonError, match="no canonical type"):
        curated_text("c", "STRUCT(a INTEGER)")


def test_state_says_when_and_where_it_was_taken(recorded: SourceState) -> None:
    assert isinstance(recorded.at, datetime)
    assert recorded.at.utcoffset() is not None
    assert recorded.lsn.count("/") == 1
    with pytest.raises(KeyError, match="was not recorded"):
        recorded.table(TableName("cases", "other"))
