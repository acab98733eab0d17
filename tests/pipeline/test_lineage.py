"""Column lineage of the sample, measured: every column of every curated and derived table, back to the source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import psycopg
import pytest

from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.metadata.reflect_postgres import apply_exclusions, reflect
from dms_assets.model.names import Layer
from dms_assets.sample.data import create_sample
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sources import find_source

pytestmark = pytest.mark.postgres

Column = tuple[dg.AssetKey, str]

CHANGE_LOG = {
    "_op", "_stream", "_seq", "_commit_at", "_position", "_load_id", "_file", "_file_row", "_change_id", "_batch",
    "_metadata_version",
}  # fmt: skip
VERSIONS = {"_follows_load", "_last_batch"}
HISTORY = {"valid_from", "valid_to", "is_current"}
OF_THE_INSTANT = {"complete_to", "month_start"}
CONSTANTS = {("record_checks", "table_name"), ("record_checks", "rule_name")}


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[dg.AssetKey, dg.AssetSpec]]:
    """Every asset, with the sample's metadata known, as after the first look at the source."""
    home = tmp_path_factory.mktemp("home")
    spec = find_source("probation")
    with EmbeddedPostgres(home / "postgres") as server:
        create_sample(server.dsn, scale=0.001)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            found = reflect(connection, spec.database_schema, [name.table for name in spec.table_names])
    store = Installation(Environment(home=home)).versions(spec.name)
    for metadata in found.tables.values():
        store.record(apply_exclusions(metadata, spec), datetime.now(UTC))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DMS_ASSETS_HOME", str(home))
        from dms_assets.definitions import defs

        yield {asset.key: asset for asset in defs().resolve_all_asset_specs()}


def lineage(spec: dg.AssetSpec) -> dict[str, list[Column]]:
    value = spec.metadata["dagster/column_lineage"]
    assert isinstance(value, dg.TableColumnLineage)
    return {column: [(dep.asset_key, dep.column_name) for dep in deps] for column, deps in value.deps_by_column.items()}


def columns(spec: dg.AssetSpec) -> dict[str, dg.TableColumn]:
    schema = spec.metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    return {column.name: column for column in schema.columns}


def ends(specs: dict[dg.AssetKey, dg.AssetSpec], column: Column) -> set[Column]:
    """Where a column comes from at the far end, by Dagster's own metadata."""
    seen: set[Column] = set()
    found: set[Column] = set()
    waiting = [column]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        before = lineage(specs[one[0]])[one[1]] if one[0].path[1] != Layer.SOURCE else []
        waiting.extend(before)
        if not before:
            found.add(one)
    return found


def test_every_column_of_every_curated_and_derived_table_reaches_the_source(
    specs: dict[dg.AssetKey, dg.AssetSpec],
) -> None:
    reached, platform = 0, set()
    for key, spec in specs.items():
        if key.path[1] not in {Layer.CURATED, Layer.DERIVED}:
            continue
        assert set(lineage(spec)) == set(columns(spec)), key
        for name in columns(spec):
            if {end.path[1] for end, _ in ends(specs, (key, name))} & {Layer.SOURCE}:
                reached += 1
            else:
                platform.add((key.path[1], key.path[-1], name))
    curated = {name for layer, _, name in platform if layer == Layer.CURATED}
    derived = {(table, name) for layer, table, name in platform if layer == Layer.DERIVED}
    assert curated == CHANGE_LOG | VERSIONS | HISTORY, "only what the platform adds comes from no source column"
    assert {(table, name) for table, name in derived if name not in OF_THE_INSTANT} == CONSTANTS
    assert reached > 500


def test_columns_of_the_source_reach_themselves(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    for key, spec in specs.items():
        if key.path[1] == Layer.SOURCE:
            for relation in ("", "_history", "_versions"):
                current = dg.AssetKey([key.path[0], Layer.CURATED, key.path[2], key.path[3] + relation])
                for name in columns(spec):
                    assert ends(specs, (current, name)) == {(key, name)}


def test_validity_comes_from_the_commit_time_that_dms_wrote(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    history = dg.AssetKey(["probation", "curated", "probation", "offender_history"])
    landing = dg.AssetKey(["probation", "landing", "probation", "offender"])
    for name in HISTORY:
        assert ends(specs, (history, name)) == {(landing, "dms_timestamp")}


def test_links_in_descriptions_say_what_the_metadata_says(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    link = re.compile(r"\[([^\]]+)\]\(/assets/([^)]+)\)`\.([^`]+)`")
    linked = 0
    for key, spec in specs.items():
        if "dagster/column_lineage" not in spec.metadata:
            continue
        for name, deps in lineage(spec).items():
            description = columns(spec)[name].description or ""
            origin, _, far = description.partition("**Source**")
            found = link.findall(origin)
            assert all(text == path for text, path, _ in found)
            shown = {(dg.AssetKey(path.split("/")), column) for _, path, column in found}
            assert shown == set(deps) or (len(deps) > len(shown) == 12 and shown < set(deps)), (key, name)
            assert {asset for asset, _ in shown} <= set(specs)
            at_the_end = {(dg.AssetKey(path.split("/")), column) for _, path, column in link.findall(far)}
            assert at_the_end <= ends(specs, (key, name))
            assert (
                deps
                or "*Set by the platform" in description
                or "*Comes from no column" in description
                or ("*Added by DMS" in description)
                or key.path[1] == Layer.SOURCE
            )
            linked += len(found)
    assert linked > 1_400


def test_comments_of_the_source_are_carried_along(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    for path in (["probation", "landing", "probation", "offender"], ["probation", "curated", "probation", "offender"]):
        description = columns(specs[dg.AssetKey(path)])["crn"].description
        assert description is not None
        assert description.startswith("Case reference number\n")
    due = columns(specs[dg.AssetKey(["supervision", "derived", "reassessment_due"])])["days_allowed"].description
    assert due is not None
    assert "(/assets/probation/source/probation/offender)`.risk` (Risk of serious harm)" in due


def test_every_derived_column_is_documented_and_typed(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    derived = [spec for key, spec in specs.items() if key.path[1] == Layer.DERIVED]
    assert len(derived) >= 6
    for spec in derived:
        assert "?" in (spec.description or ""), "it says which question it answers"
        for column in columns(spec).values():
            assert not (column.description or "**").startswith("*"), (spec.key, column.name)
            assert column.type != "?"


def test_who_uses_a_derived_table_is_in_the_lineage(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    exposures = {key: spec for key, spec in specs.items() if key.path[1] == "exposure"}
    used = {dep.asset_key for spec in exposures.values() for dep in spec.deps}
    assert used == {key for key in specs if key.path[1] == Layer.DERIVED}
    assert all(spec.owners and spec.description for spec in exposures.values())


def test_a_page_with_the_lineage_is_linked_from_every_table(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    key = dg.AssetKey(["supervision", "derived", "first_contact"])
    assert specs[key].metadata["column lineage"] == dg.MetadataValue.url(
        "/platform/lineage/supervision/derived/first_contact"
    )
