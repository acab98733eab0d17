"""What holds a table, and what is said of it."""

from datetime import UTC, datetime

from dms_assets.model.load import Load, Stream
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.checks.hold import judge_load, judge_quarantine, judge_stream

NAME = TableName("s", "t")
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def spec(**table: object) -> SourceSpec:
    return SourceSpec.model_validate(
        {
            "name": "src",
            "engine": "postgres",
            "connection": {"secret": "x"},
            "schema": "s",
            "tables": [{"name": "t", **table}],
        }
    )


def load(stream: int) -> Load:
    return Load(f"{stream}-x", NAME, stream, NOW, "", NOW, NOW, one_snapshot=True, rows=1, files=1)


def test_a_file_in_quarantine_holds_and_the_remedy_is_named() -> None:
    verdict = judge_quarantine(spec(), NAME, ["abc"])
    assert not verdict.passed
    assert verdict.holds
    assert "dms-assets quarantine show" in verdict.told


def test_on_quarantine_continue_shows_the_gap_and_goes_on() -> None:
    verdict = judge_quarantine(spec(on_quarantine="continue"), NAME, ["abc"])
    assert not verdict.passed
    assert not verdict.holds


def test_a_new_stream_holds_until_its_load_is_in_the_table() -> None:
    streams = [Stream(1, "arn", NOW), Stream(2, "arn", NOW)]
    assert judge_stream(NAME, streams[:1], [load(1)]).passed
    assert not judge_stream(NAME, streams, [load(1)]).passed
    assert judge_stream(NAME, streams, [load(1), load(2)]).passed
    assert judge_stream(NAME, streams, []).passed


def test_a_stuck_load_holds() -> None:
    assert judge_load(NAME, None).passed
    assert judge_load(NAME, "rows differ; reload").told == "rows differ; reload"
