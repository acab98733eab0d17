"""Real builds of a small generated source: loads, increments, redelivery, reloads, tables without a key."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from dms_assets.curation.as_of import as_of_sql
from dms_assets.curation.dbt_run import BuildResult, DbtFailedError, DbtTarget, build, ensure_manifest
from dms_assets.curation.generate import generate_models
from dms_assets.curation.source_views import applied_batch, create_source_views
from dms_assets.lake.pinned_snapshot import PinnedSnapshot
from dms_assets.model.change_log import Row
from dms_assets.model.load import Load
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName, quote
from dms_assets.model.stored_schema import stored_schema
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from tests.curation.rendered import NOW, project_copy, spec_of
from tests.curation.test_sql_equals_model import COLUMNS, expected_history
from tests.curation.warehouse import normal
from tests.strategies.change_log import KEYLESS, SETUPS, generate, validated_table

SOURCE = "office"
LOCAL = SETUPS[0]
THING_SEED, OTHER_SEED, LOG_SEED = 9, 3, 8


class Source:
    """A source of several tables whose validated files are written by hand, batch by batch."""

    def __init__(self, folder: Path, tables: list[TableMetadata]) -> None:
        self.folder, self.tables = folder, {table.name.table: table for table in tables}
        self.target = DbtTarget(project_copy(folder), folder / "target", folder / "warehouse.duckdb")
        self.pinned = {
            name: PinnedSnapshot(("", ""), None, (), (), 0, stored_schema(table)) for name, table in self.tables.items()
        }
        self.generate()

    def generate(self) -> list[Path]:
        tables = list(self.tables.values())
        spec = spec_of(SOURCE, tables, unique_positions=True)
        return generate_models(spec, tables, self.target.project_dir / "models" / "curated" / SOURCE)

    def commit(self, table: str, rows: list[Row], loads: tuple[Load, ...]) -> None:
        before = self.pinned[table]
        batch = before.batch + 1
        file = self.folder / f"{table}-{batch}.parquet"
        content = validated_table([replace(row, batch=batch) for row in rows], self.tables[table])
        pq.write_table(content.cast(stored_schema(self.tables[table])), file)
        self.pinned[table] = replace(
            before, snapshot_id=batch, files=(*before.files, str(file)), loads=loads, batch=batch
        )

    def build(self, *select: str, full_refresh: bool = False) -> BuildResult:
        with duckdb.connect(str(self.target.warehouse)) as connection:
            for name, table in self.tables.items():
                create_source_views(connection, SOURCE, table, self.pinned[name], at=NOW)
        return build(self.target, select or ["*"], full_refresh=full_refresh)

    def rows(self, sql: str) -> Counter[tuple[Any, ...]]:
        with duckdb.connect(str(self.target.warehouse), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return Counter(normal(row) for row in connection.execute(sql).fetchall())

    def relation(self, table: str, suffix: str = "") -> Counter[tuple[Any, ...]]:
        return self.rows(f"from {quote(f'{SOURCE}_app_curated')}.{quote(table + suffix)}")


@pytest.fixture(scope="module")
def thing() -> TableMetadata:
    return replace(generate(Random(0), LOCAL).metadata, name=TableName("app", "thing"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, thing: TableMetadata) -> Source:
    other = replace(thing, name=TableName("app", "other"))
    log = replace(thing, name=TableName("app", "log"), key=())
    return Source(tmp_path_factory.mktemp("office"), [thing, other, log])


def test_batches_of_several_tables_are_built_one_after_another(source: Source) -> None:
    scenarios = {"thing": generate(Random(THING_SEED), LOCAL), "other": generate(Random(OTHER_SEED), LOCAL)}
    scenarios["log"] = generate(Random(LOG_SEED), KEYLESS)
    source.build().raise_for_failures()
    assert not any(source.relation(table) for table in scenarios), "built before anything came"
    for number in range(max(len(scenario.batches) for scenario in scenarios.values())):
        for table, scenario in scenarios.items():
            if number < len(scenario.batches):
                batch = scenario.batches[number]
                source.commit(table, list(batch.rows), batch.loads)
        result = source.build()
        result.raise_for_failures()
        assert {node.status for node in result.nodes} == {"success", "pass"}
        for table in ("thing", "other"):
            batches = scenarios[table].batches[: number + 1]
            rows = [row for batch in batches for row in batch.rows]
            assert source.relation(table, "_history") == expected_history(rows, batches[-1].loads, unique=True)
    assert sum(scenario.redelivered for scenario in scenarios.values()) > 0
    versions = {table: source.relation(table, "_versions") for table in scenarios}
    source.build(full_refresh=True).raise_for_failures()
    assert versions == {table: source.relation(table, "_versions") for table in scenarios}


def test_a_batch_of_copies_counts_as_applied_and_changes_nothing(source: Source) -> None:
    rows = [row for row in generate(Random(THING_SEED), LOCAL).batches[-1].rows if row.op != "L"]
    assert rows
    before = source.relation("thing", "_history")
    batch = source.pinned["thing"].batch + 1
    source.commit("thing", [replace(row, file="src/later") for row in rows], source.pinned["thing"].loads)
    source.build("+office_app__thing").raise_for_failures()
    assert source.relation("thing", "_history") == before
    with duckdb.connect(str(source.target.warehouse)) as connection:
        assert applied_batch(connection, SOURCE, TableName("app", "thing")) == batch
        assert applied_batch(connection, SOURCE, TableName("app", "unknown")) is None


def test_a_reload_without_rows_closes_every_key(source: Source) -> None:
    loads = source.pinned["other"].loads
    history = source.relation("other", "_history")
    at = max([*(row[COLUMNS] for row in history), loads[-1].ended_at]) + timedelta(days=1)
    stream = loads[-1].stream + 1
    reload = replace(loads[-1], load_id=f"{stream:06d}-reload", stream=stream, boundary_at=at, boundary_seq="", rows=0)
    assert source.relation("other")
    source.commit("other", [], (*loads, reload))
    source.build().raise_for_failures()
    assert not source.relation("other")
    closed = [row for row in source.relation("other", "_history") if row[COLUMNS + 1] == at]
    assert closed
    sql = as_of_sql(SOURCE, TableName("app", "other"), ["id"], at - timedelta(microseconds=1))
    assert sum(source.rows(sql).values()) == len(closed)
    assert not source.rows(as_of_sql(SOURCE, TableName("app", "other"), ["id"], at))
    assert not source.rows(as_of_sql(SOURCE, TableName("app", "other"), ["id"], None))


def test_a_new_column_is_null_in_what_came_before(source: Source) -> None:
    table = source.tables["thing"]
    added = ColumnMetadata("colour", LogicalType.parse("decimal(9,2)"), "numeric(9,2)")
    before = source.relation("thing")
    source.tables["thing"] = replace(table, columns=(*table.columns, added))
    assert source.generate()
    old = generate(Random(THING_SEED), LOCAL).batches[-1].rows[-1]
    key = (77, "new")
    change = replace(old, key=key, op="I", content=(*key, "n", 1.0, None), change_id=b"new", file="new", position="n")
    known = [row for row in generate(Random(THING_SEED), LOCAL).batches[-1].rows if row.op != "L"][:1]
    copies = [replace(row, content=(*row.content, None), file="later") for row in known]
    source.commit("thing", [change, *copies], source.pinned["thing"].loads)
    source.build().raise_for_failures()
    assert source.relation("thing") == Counter([*((*row, None) for row in before.elements()), (*key, "n", 1.0, None)])


def test_a_model_can_read_another_as_of_an_instant(source: Source) -> None:
    history = source.relation("other", "_history")
    at = min(row[COLUMNS + 1] for row in history) - timedelta(microseconds=1)
    model = source.target.project_dir / "models" / "then.sql"
    text = "{{ as_of(ref('office_app__other_history'), scd2_instant('%s'), ['id', 'part']) }}"
    model.write_text(text % f"{at:%Y-%m-%d %H:%M:%S.%f}", encoding="utf-8")
    source.build("then").raise_for_failures()
    model.unlink()
    expected = Counter(row[:2] for row in history.elements() if row[COLUMNS] <= at < row[COLUMNS + 1])
    assert expected
    assert source.rows("from main.then") == expected


def test_the_warehouse_is_closed_after_a_build(source: Source) -> None:
    source.build("office_app__log")
    opened = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('select 1')"
    subprocess.run([sys.executable, "-c", opened, str(source.target.warehouse)], check=True, timeout=60)


def test_each_node_has_one_result_and_one_event(source: Source) -> None:
    seen: list[str] = []
    result = build(
        source.target, ["office_app__other_history"], on_event=lambda event: seen.append(event["info"]["name"])
    )
    nodes = result.by_unique_id()
    assert set(nodes) == {event["data"]["node_info"]["unique_id"] for event in result.events}
    model = nodes["model.dms_assets.office_app__other_history"]
    assert (model.resource_type, model.status, model.failures) == ("model", "success", None)
    assert model.relation_name == '"warehouse"."office_app_curated"."other_history"'
    assert model.execution_time > 0
    assert sorted(seen) == ["LogModelResult", "LogTestResult"]


def test_a_failed_test_is_a_result_and_stops_only_what_needs_it(source: Source) -> None:
    rows = list(generate(Random(THING_SEED), LOCAL).batches[0].rows)[:1]
    lost = replace(rows[0], op="L", load_id="unknown", seq=None, content=(*rows[0].content, None), change_id=b"lost")
    pinned = source.pinned["thing"]
    source.commit("thing", [lost], pinned.loads)
    result = source.build()
    source.pinned["thing"] = pinned
    status = {name.split(".")[2]: node.status for name, node in result.by_unique_id().items()}
    assert status["office_app__thing_versions_sound"] == "fail"
    assert status["office_app__thing_history"] == status["office_app__thing"] == "skipped"
    assert status["office_app__other"] == status["office_app__log"] == "success"
    assert [node.failures for node in result.failed] == [1]
    with pytest.raises(DbtFailedError, match=r"office_app__thing_versions_sound.*dbt\.log"):
        result.raise_for_failures()


def test_a_validated_table_made_anew_is_seen_and_a_full_refresh_follows_it(source: Source) -> None:
    name = TableName("app", "log")
    source.pinned["log"] = replace(source.pinned["log"], batch=0, files=())
    rows = list(generate(Random(LOG_SEED), KEYLESS).batches[0].rows)
    source.commit("log", rows, generate(Random(LOG_SEED), KEYLESS).batches[0].loads)
    with duckdb.connect(str(source.target.warehouse)) as connection:
        applied = applied_batch(connection, SOURCE, name)
    assert applied is not None
    assert applied > source.pinned["log"].batch
    source.build("+office_app__log", full_refresh=True).raise_for_failures()
    kept = Counter(row[:COLUMNS] for row in source.relation("log", "_versions").elements() if row[COLUMNS] != "LOAD")
    assert kept == Counter(normal(row.content) for row in rows)


def test_the_manifest_is_parsed_only_when_the_project_changed(source: Source) -> None:
    manifest = ensure_manifest(source.target)
    written = manifest.stat().st_mtime_ns
    assert ensure_manifest(source.target).stat().st_mtime_ns == written
    model = source.target.project_dir / "models" / "noted.sql"
    model.write_text("select 1 as one\n", encoding="utf-8")
    assert ensure_manifest(source.target).stat().st_mtime_ns > written
    assert "noted" in manifest.read_text(encoding="utf-8")


def test_dbt_itself_failing_names_the_model_and_the_log(source: Source) -> None:
    broken = source.target.project_dir / "models" / "broken.sql"
    broken.write_text("select * from {{ ref('nothing_of_that_name') }}\n", encoding="utf-8")
    with pytest.raises(DbtFailedError, match=r"(?s)broken.*nothing_of_that_name.*dbt\.log"):
        build(source.target, ["*"])
    with pytest.raises(DbtFailedError, match="broken"):
        ensure_manifest(source.target)
    broken.unlink()
    with pytest.raises(ValueError, match="no node selected"):
        build(source.target, [])


def test_dbt_says_nothing_that_is_ours_to_mend(source: Source) -> None:
    ensure_manifest(source.target)
    log = source.target.log.read_text(encoding="utf-8")
    assert not [line for line in log.splitlines() if "[warn " in line or "Deprecat" in line]
