"""Which source tables are reported: new and changed ones at once, and again while no run stores what was seen."""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg

from dms_assets.metadata.reflect_postgres import Reflection
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.pipeline.automation import follow
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.sensors.source import (
    Reported,
    _events,
    _read_cursor,
    _wanted,
    _write_cursor,
    reports_due,
)

NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)
T = TableName("s", "t")
MINUTE = timedelta(minutes=1)


def spec(**table: object) -> SourceSpec:
    tables = [{"name": "t", **table}]
    return SourceSpec.model_validate(
        {"name": "src", "engine": "postgres", "connection": {"secret": "x"}, "schema": "s", "tables": tables}
    )


def metadata(*names: str) -> TableMetadata:
    columns = tuple(ColumnMetadata(name, LogicalType.parse("int64"), "bigint", nullable=False) for name in names)
    return TableMetadata(T, columns, ("id",))


def test_a_table_is_reported_when_it_is_new_or_changed_and_once() -> None:
    first, second = metadata("id"), metadata("id", "n")
    due = reports_due({T: first}, {}, {T: first.version}, {}, NOW)
    assert due == {T: Reported(first.version, NOW, 1)}
    stored = {T: first.version}
    assert not reports_due({T: first}, stored, {T: first.version}, due, NOW + timedelta(days=1))
    assert reports_due({T: second}, stored, {T: second.version}, due, NOW)[T].times == 1


def test_what_no_run_stored_is_reported_again_with_growing_pauses() -> None:
    found = metadata("id", "n")
    reported, times = {}, []
    for minute in range(120):
        due = reports_due({T: found}, {T: "older"}, {T: found.version}, reported, NOW + minute * MINUTE)
        reported |= due
        times += [minute for _ in due]
    assert times == [0, 2, 6, 14, 30, 60, 90]
    assert not reports_due({T: found}, {T: found.version}, {T: found.version}, reported, NOW + timedelta(days=1))


def test_a_table_that_is_not_there_is_reported_once() -> None:
    due = reports_due({}, {}, {T: ""}, {}, NOW)
    assert due == {T: Reported("", NOW, 1)}
    assert not reports_due({}, {}, {T: ""}, due, NOW + timedelta(days=1))
    events = list(_events(spec(), Reflection({}, ()), due))
    assert [type(event) for event in events] == [dg.AssetCheckEvaluation]


def test_a_table_whose_rows_get_hidden_is_reported_and_again_when_they_are_shown() -> None:
    found = metadata("id")
    stored = wanted = {T: found.version}
    due = reports_due({T: found}, stored, wanted, {}, NOW)
    hidden = reports_due({T: found}, stored, wanted, due, NOW, hidden={T})
    assert hidden[T].times == 1
    assert not reports_due({T: found}, stored, wanted, hidden, NOW + timedelta(days=1), hidden={T})
    (result, *_) = _events(spec(), Reflection({T: found}, (), frozenset({T})), hidden)
    assert isinstance(result, dg.AssetCheckEvaluation)
    assert not result.passed
    assert "BYPASSRLS" in str(result.metadata["remedy"].value)
    shown = reports_due({T: found}, stored, wanted, hidden, NOW)
    (result, *_) = _events(spec(), Reflection({T: found}, ()), shown)
    assert isinstance(result, dg.AssetCheckEvaluation)
    assert result.passed


def test_an_exclusion_declared_later_is_a_new_version_to_store() -> None:
    found = metadata("id", "n")
    before, after = _wanted(spec(), found), _wanted(spec(exclude_columns=["n"]), found)
    assert before == found.version != after
    due = reports_due({T: found}, {T: before}, {T: before}, {}, NOW)
    again = reports_due({T: found}, {T: before}, {T: after}, due, NOW + timedelta(hours=1))
    assert again[T].times == 2
    wrong = _wanted(spec(exclude_columns=["id"]), found)
    assert "cannot be excluded" in wrong, "the tick goes on, and the run that fails says why"


def test_the_cursor_remembers_reports_and_one_of_another_release_reports_anew() -> None:
    reported = {T: Reported("v", NOW, 3)}
    assert _read_cursor(_write_cursor(reported)) == reported
    assert _read_cursor(json.dumps({"s.t": "v"})) == {}
    assert _read_cursor(None) == {}


def test_a_failed_first_metadata_run_is_asked_for_again() -> None:
    """The condition alone asks once for each report; so the report has to come again."""
    broken = [True]
    key = table_key("src", Layer.METADATA, T)
    source = table_key("src", Layer.SOURCE, T)

    @dg.asset(key=key, deps=[source], automation_condition=follow())
    def described() -> None:
        if broken:
            raise ConnectionError(broken.pop())

    defs = dg.Definitions(assets=[described, dg.AssetSpec(source)])
    found = metadata("id")
    with dg.DagsterInstance.ephemeral() as instance:

        def requested(due: dict[TableName, Reported], cursor: object = None) -> tuple[int, object]:
            for event in _events(spec(), Reflection({T: found}, ()), due):
                instance.report_runless_asset_event(event)
            result = dg.evaluate_automation_conditions(defs, instance, cursor=cursor)  # type: ignore[arg-type]
            return result.get_num_requested(key), result.cursor

        due = reports_due({T: found}, {}, {T: found.version}, {}, NOW)
        asked, cursor = requested(due)
        assert asked == 1
        assert not dg.materialize([described], instance=instance, raise_on_error=False).success
        asked, cursor = requested({}, cursor)
        assert asked == 0
        again = reports_due({T: found}, {}, {T: found.version}, due, NOW + 2 * MINUTE)
        asked, cursor = requested(again, cursor)
        assert asked == 1
        assert dg.materialize([described], instance=instance).success
