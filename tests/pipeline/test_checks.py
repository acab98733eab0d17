"""What the checks say of files that a run judged: counts, places and hashes, links and remedies; never a value."""

import dagster as dg
import pyarrow as pa
import pytest

from dms_assets.lake.table_outcome import TableOutcome
from dms_assets.model.names import Layer
from dms_assets.pipeline.checks.blocking import build_blocking_checks, evaluations
from dms_assets.pipeline.checks.hold import judge_load, judge_quarantine
from dms_assets.pipeline.checks.quarantine_links import quarantine_path, report_links
from dms_assets.pipeline.checks.rules import rule_check_keys, rule_check_result, rule_check_specs
from dms_assets.pipeline.keys import table_key
from dms_assets.validation.outcome import Group
from tests.lake.conftest import worker, world
from tests.lake.world import PERSON, World, cdc_table, load_table, rows

__all__ = ["worker", "world"]
ASSET = table_key("shop", Layer.VALIDATED, PERSON.name)


@pytest.fixture
def outcome(world: World) -> TableOutcome:
    """A load and a good file, one with two rows that are too long, one that is no Parquet."""
    world.land_load(load_table(rows(2)))
    world.loaded(2)
    world.land("20260101-000000001.parquet", cdc_table(rows(2, first=3)))
    names = pa.array(["a", "Archibald Secret", "b", "Balthasar Secret"])
    world.land("20260101-000000002.parquet", cdc_table(rows(4, first=7, name=names)))
    world.land("20260101-000000003.parquet", b"no Parquet")
    return world.ingest()


def result(outcome: TableOutcome, group: Group) -> dg.AssetCheckResult:
    return rule_check_result("shop", ASSET, group, outcome.checks.get(group))


def test_there_is_one_check_for_each_group_of_rules_and_each_says_what_it_demands() -> None:
    specs = list(rule_check_specs(ASSET))
    assert [spec.key for spec in specs] == rule_check_keys(ASSET)
    assert {spec.name for spec in specs} == {group.value for group in Group}
    assert all(spec.description and not spec.blocking for spec in specs)


def test_a_failed_check_names_file_rows_and_hashes_and_leads_to_the_report(outcome: TableOutcome) -> None:
    failed = result(outcome, Group.LENGTH)
    assert not failed.passed
    assert failed.severity is dg.AssetCheckSeverity.WARN
    assert failed.metadata["expected"].value == "name: at most 10 characters"
    assert "1 of 3 files fail" in failed.metadata["found"].value
    assert failed.metadata["failing"].value == 2
    assert "quarantine replay" in failed.metadata["remedy"].value
    failures = failed.metadata["failures"]
    assert isinstance(failures, dg.TableMetadataValue)
    (record,) = failures.records
    rejected = {item.key: item.entry_id for item in outcome.rejected}
    entry = rejected["shop/app/person/20260101-000000002.parquet"]
    assert record.data["report"] == entry
    assert (record.data["column"], record.data["rows (from 0)"]) == ("name", "1, 3")
    hashes = record.data["key hashes"].split(", ")
    assert len(set(hashes)) == 2
    assert {len(item) for item in hashes} == {16}
    assert failed.metadata["report"] == dg.MetadataValue.url(f"/platform/quarantine/shop/{entry}")


def test_a_check_that_passed_says_what_it_judged(outcome: TableOutcome) -> None:
    passed = result(outcome, Group.NULLABILITY)
    assert passed.passed
    assert passed.metadata["files judged"].value == 3
    assert passed.metadata["failing"].value == 0
    assert result(TableOutcome(outcome.table), Group.KEY).metadata["found"].value.startswith("no file to judge")


def test_one_report_is_one_address_and_several_are_a_list() -> None:
    assert report_links("shop", []) == {}
    assert list(report_links("shop", ["a"])) == ["report"]
    links = report_links("shop", [f"{number:02}" for number in range(30)])
    assert links["report"] == dg.MetadataValue.url(quarantine_path("shop"))
    assert "[07](/platform/quarantine/shop/07)" in str(links["reports"].value)
    assert "and 10 more" in str(links["reports"].value)
    assert quarantine_path("a/b", "../c") == "/platform/quarantine/a%2Fb/..%2Fc"


def test_what_holds_a_table_says_expected_found_remedy_and_leads_to_the_reports(world: World) -> None:
    verdicts = [judge_quarantine(world.spec, world.name, ["abc"]), judge_load(world.name, "rows differ; reload it")]
    with dg.DagsterInstance.ephemeral() as instance:
        held, stuck = evaluations(instance, world.spec, verdicts)
    assert held.metadata["expected"].value == "no file of the table in quarantine"
    assert held.metadata["report"] == dg.MetadataValue.url("/platform/quarantine/shop/abc")
    assert "replay or discard" in str(held.metadata["remedy"].value)
    assert (stuck.metadata["found"].value, stuck.metadata["remedy"].value) == ("rows differ", "reload it")
    definition = build_blocking_checks(world.spec, [dg.AssetSpec(ASSET)])
    assert all(spec.description for spec in definition.check_specs)
