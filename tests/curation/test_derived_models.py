"""Derived models on a small source: what they are of, and what they may not read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import duckdb
import pytest

from dms_assets.curation.covered_instants import Covered, confirm_covered, open_covered, record_covered
from dms_assets.curation.dbt_run import DbtFailedError, build, ensure_manifest
from dms_assets.curation.model_lineage import model_lineage, source_columns
from dms_assets.model.names import SourceTable, TableName
from tests.curation.test_dbt_build import SOURCE, Source
from tests.strategies.change_log import SETUPS, generate

T1, T2, T3 = (datetime(2026, 11, day, tzinfo=UTC) for day in (20, 21, 22))
THING, OTHER = ((SOURCE, TableName("app", table)) for table in ("thing", "other"))
MODEL = """
select
    count(thing.{key}) as things,
    (select count(*) from ({other}) as held) as others,
    {{{{ complete_to() }}}} as complete_to
from ({thing}) as thing
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    thing = replace(generate(Random(0), SETUPS[0]).metadata, name=TableName("app", "thing"))
    made = Source(tmp_path_factory.mktemp("office"), [thing, replace(thing, name=TableName("app", "other"))])
    folder = made.target.project_dir / "models" / "derived" / "sums"
    folder.mkdir(parents=True)
    columns = [("things", "bigint"), ("others", "bigint"), ("complete_to", "timestamptz")]
    folder.joinpath("sums__things.sql").write_text(
        MODEL.format(
            key=thing.key[0],
            thing="{{ complete(ref('office_app__thing_history')) }}",
            other="{{ complete(ref('office_app__other_history')) }}",
        )
    )
    described = {"name": "sums__things", "columns": [{"name": n, "data_type": t} for n, t in columns]}
    folder.joinpath("sums__things.yml").write_text(json.dumps({"version": 2, "models": [described]}))
    with (made.target.project_dir / "dbt_project.yml").open("a") as project:
        project.write("\nmodels: {dms_assets: {derived: {+materialized: table, +schema: sums_derived}}}\n")
    return made


def record(source: Source, **instants: datetime | None) -> None:
    with duckdb.connect(str(source.target.warehouse)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        open_covered(connection)
        tables: list[SourceTable] = []
        for name, instant in instants.items():
            table = (SOURCE, TableName("app", name))
            record_covered(connection, table, Covered(instant, None, 1) if instant else None, None, confirmed=True)
            tables.append(table)
        confirm_covered(connection, tables)


def things(source: Source) -> tuple[object, ...]:
    (row,) = source.rows("from sums_derived.things")
    return row


def test_a_derived_table_is_of_the_least_instant_of_its_tables(source: Source) -> None:
    scenario = generate(Random(9), SETUPS[0])
    for table in ("thing", "other"):
        for batch in scenario.batches:
            source.commit(table, list(batch.rows), batch.loads)
    record(source)
    source.build().raise_for_failures()
    assert things(source) == (0, 0, None), "nothing is known to be complete: it has nothing"

    record(source, thing=T2, other=T1)
    source.build("sums__things").raise_for_failures()
    held = [
        sum(
            source.rows(
                f"from office_app_curated.{table}_history where valid_from <= '{T1}' and '{T1}' < valid_to"
            ).values()
        )
        for table in ("thing", "other")
    ]
    assert things(source) == (*held, T1)

    record(source, thing=T3, other=T2)
    source.build("sums__things").raise_for_failures()
    assert things(source)[-1] == T2

    record(source, other=None)
    source.build("sums__things").raise_for_failures()
    assert things(source) == (0, 0, None)


def test_its_lineage_is_read_from_its_sql(source: Source) -> None:
    manifest = json.loads(ensure_manifest(source.target).read_text())
    lineage = model_lineage(manifest, json.loads(source.target.compiled.read_text()))
    model = "model.dms_assets.sums__things"
    (key,) = {column for _, column in source_columns(lineage, (model, "things"))}
    assert key == source.tables["thing"].key[0]
    assert "no column" in (lineage[model, "others"].note or ""), "a count of rows"
    assert "Set by the platform" in (lineage[model, "complete_to"].note or "")


@pytest.mark.parametrize("read", ["ref('office_app__thing')", "ref('sums__things')"])
def test_reading_anything_but_histories_is_refused(source: Source, read: str) -> None:
    """A current view has changes after the instant, and another derived table may be of another one."""
    wrong = source.target.project_dir / "models" / "derived" / "sums" / "sums__wrong.sql"
    wrong.write_text(f"select {{{{ complete_to() }}}} as complete_to from {{{{ {read} }}}}")
    try:
        with pytest.raises(DbtFailedError, match=r"sums__wrong reads .* which is not a history"):
            build(source.target, ["sums__wrong"]).raise_for_failures()
    finally:
        wrong.unlink()


def test_a_model_that_does_not_compile_stops_no_start_and_its_lineage_is_told_to_be_unknown(source: Source) -> None:
    wrong = source.target.project_dir / "models" / "derived" / "sums" / "sums__broken.sql"
    wrong.write_text("select {{ complete_to() }} as complete_to from {{ ref('office_app__thing') }}")
    described = wrong.with_suffix(".yml")
    described.write_text(json.dumps({"models": [{"name": "sums__broken", "columns": [{"name": "complete_to"}]}]}))
    try:
        manifest = json.loads(ensure_manifest(source.target).read_text())
        lineage = model_lineage(manifest, json.loads(source.target.compiled.read_text()))
        found = lineage["model.dms_assets.sums__broken", "complete_to"]
        assert not found.known
        assert (found.note or "").startswith("Lineage unknown")
    finally:
        wrong.unlink()
        described.unlink()


def test_the_project_of_the_repository_keeps_the_rule() -> None:
    for path in (Path(__file__).parents[2] / "dbt_project" / "models" / "derived").rglob("*.sql"):
        text = path.read_text()
        assert text.count("ref(") == text.count("_history')"), path
        assert "complete_to() }} as complete_to" in text or "complete_to\nfrom" in text, path
