"""Models generated from metadata: whatever names and comments hold, dbt and the warehouse see exactly them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
import yaml

from dms_assets.curation.dbt_run import DbtTarget, build
from dms_assets.curation.generate import ModelNameError, check_models, generate_models, planned_files
from dms_assets.curation.history_columns import HistoryColumns, history_columns
from dms_assets.curation.source_views import create_source_views
from dms_assets.lake.pinned_snapshot import empty_snapshot
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from tests.curation.rendered import NOW, PROJECT, project_copy, spec_of

HOSTILE = (
    'say "hi"',
    "it's; drop table x; --",
    "{{ 1 / 0 }}",
    "{% raise %}",
    "{# gone #}",
    "{% endraw %}{{ env_var('HOME') }}",
    "back\\slash \\x41",
    "new\nline\ttab",
    "naïve ünïcode 🦆",
    "42",
    "1e3",
    "None",
    "true",
    "[1, 2]",
    "ref('x')",
    "select",
    "*",
    "a, b",
    "yes: no # comment",
    " leading and trailing ",
    "%s ${HOME} $1",
)


def table(
    name: str = "thing", *, columns: tuple[str, ...] = ("id", "name"), key: tuple[str, ...] = ("id",)
) -> TableMetadata:
    text = LogicalType.parse("string")
    return TableMetadata(TableName("app", name), tuple(ColumnMetadata(column, text, "text") for column in columns), key)


def planned(*tables: TableMetadata, columns: HistoryColumns | None = None) -> dict[str, str]:
    return planned_files(spec_of("office", tables, unique_positions=True), tables, columns)


def test_hostile_names_and_comments_are_only_text(tmp_path: Path) -> None:
    hostile = TableMetadata(
        TableName("app", "thing"),
        tuple(ColumnMetadata(name, LogicalType.parse("string"), "text", comment=name) for name in HOSTILE),
        key=HOSTILE,
        comment=" / ".join(HOSTILE),
    )
    target = DbtTarget(project_copy(tmp_path), tmp_path / "target", tmp_path / "warehouse.duckdb")
    spec = spec_of("office", [hostile], unique_positions=True)
    generate_models(spec, [hostile], target.project_dir / "models" / "curated" / "office")
    with duckdb.connect(str(target.warehouse)) as connection:
        create_source_views(connection, "office", hostile, empty_snapshot(("", ""), hostile), at=NOW)
    build(target, ["*"]).raise_for_failures()
    build(target, ["*"]).raise_for_failures()
    with duckdb.connect(str(target.warehouse)) as connection:
        found = [column[0] for column in connection.execute("describe office_app_curated.thing").fetchall()]
    assert found == list(HOSTILE)
    manifest = json.loads(target.manifest.read_text(encoding="utf-8"))
    for unique_id in ("model.dms_assets.office_app__thing", "source.dms_assets.office_app_validated.thing"):
        node = {**manifest["nodes"], **manifest["sources"]}[unique_id]
        described = {column["name"]: column["description"] for column in node["columns"].values()}
        assert {name: described[name] for name in HOSTILE} == {name: name for name in HOSTILE}
        assert hostile.comment is not None
        assert hostile.comment.rstrip(".") in node["description"]


def test_models_and_sources_carry_their_asset_keys() -> None:
    files = planned(table())
    source = yaml.safe_load(files["_office__sources.yml"])["sources"][0]
    assert source["schema"] == "office_app_validated"
    assert source["tables"][0]["config"]["meta"]["dagster"]["asset_key"] == ["office", "validated", "app", "thing"]
    models = yaml.safe_load(files["office_app__thing.yml"])["models"]
    assert [(model["name"], model["config"]["alias"], model["config"]["schema"]) for model in models] == [
        ("office_app__thing_versions", "thing_versions", "office_app_curated"),
        ("office_app__thing_history", "thing_history", "office_app_curated"),
        ("office_app__thing", "thing", "office_app_curated"),
    ]
    assert [model["config"]["meta"]["dagster"] for model in models] == [
        {"asset_key": ["office", "curated", "app", relation], "group": "office_curated"}
        for relation in ("thing_versions", "thing_history", "thing")
    ]
    assert [list(test) for model in models for test in model["data_tests"]] == [
        ["scd2_versions_sound"],
        ["scd2_well_formed"],
        ["scd2_key"],
    ]


def test_a_table_without_a_key_says_that_it_is_a_log() -> None:
    models = yaml.safe_load(planned(table(key=()))["office_app__thing.yml"])["models"]
    assert all("log" in model["description"] for model in models)
    assert "data_tests" not in models[1]
    assert "data_tests" not in models[2]


def test_generating_again_changes_nothing_and_drift_is_told(tmp_path: Path) -> None:
    tables = [table(), table("other")]
    spec = spec_of("office", tables, unique_positions=True)
    by_hand = tmp_path / "by_hand.sql"
    by_hand.write_text("select 1", encoding="utf-8")
    assert len(check_models(spec, tables, tmp_path)) == 9
    assert len(generate_models(spec, tables, tmp_path)) == 9
    assert check_models(spec, tables, tmp_path) == []
    assert generate_models(spec, tables, tmp_path) == []

    changed = [table(columns=("id", "name", "more")), table("other")]
    names = [
        "_office__sources.yml",
        *(f"office_app__thing{end}" for end in (".sql", ".yml", "_history.sql", "_versions.sql")),
    ]
    assert [path.name for path in check_models(spec, changed, tmp_path)] == names

    (tmp_path / "office_app__other.sql").write_text("select 2", encoding="utf-8")
    assert check_models(spec, tables, tmp_path) == [tmp_path / "office_app__other.sql"]
    generate_models(spec, tables, tmp_path)

    removed = generate_models(spec, tables[:1], tmp_path)
    assert [path.name for path in removed if not path.exists()] == [
        f"office_app__other{end}" for end in (".sql", ".yml", "_history.sql", "_versions.sql")
    ]
    assert by_hand.read_text(encoding="utf-8") == "select 1"


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            [table(), table("thing_history")],
            r"app\.thing and app\.thing_history .* both need the relation 'thing_history'",
        ),
        ([table("thing__loads"), table()], "both need the relation 'thing__loads'"),
        ([table(columns=("id", "valid_from"))], "'valid_from' of app.thing: .*vars scd2_"),
        ([table(columns=("id", "_SEQ"))], "'_SEQ' of app.thing: .* platform's own; exclude"),
        ([table(columns=("id", "Name", "name"))], "differs only in case"),
        ([table(columns=("id", "straße", "STRASSE"))], "differs only in case or form"),
        ([table(columns=("id", "_\u017feq"))], "'_\u017feq' of app.thing: .* platform's own; exclude"),
        ([table(columns=("id", "_SCD2_begins"))], "begins with _scd2_, .*; exclude the column"),
        ([table(), table("thing__dbt_tmp")], "both need the relation 'thing__dbt_tmp'"),
        ([table(), table("thing_history__dbt_backup")], "both need the relation 'thing_history__dbt_backup'"),
        ([replace(table(), name=TableName("a b", "thing"))], "schema 'a b' of source 'office'"),
    ],
)
def test_names_that_the_warehouse_cannot_keep_apart_are_refused(tables: list[TableMetadata], message: str) -> None:
    with pytest.raises(ModelNameError, match=message):
        planned(*tables)


def test_names_of_history_columns_are_the_projects(tmp_path: Path) -> None:
    assert history_columns(PROJECT) == HistoryColumns()
    project = project_copy(tmp_path) / "dbt_project.yml"
    text = project.read_text(encoding="utf-8").replace("scd2_valid_from: valid_from", "scd2_valid_from: started_on")
    project.write_text(text, encoding="utf-8")
    renamed = history_columns(project.parent)
    assert renamed == HistoryColumns(valid_from="started_on")
    files = planned(table(columns=("id", "valid_from")), columns=renamed)
    history = yaml.safe_load(files["office_app__thing.yml"])["models"][1]
    assert [column["name"] for column in history["columns"]][:3] == ["id", "valid_from", "started_on"]
