"""When a table is stale: by the instant it is complete to, not by its last change."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from dms_assets.curation.covered_instants import Covered
from dms_assets.lake.table_summary import TableSummary
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.watermark import Watermark
from dms_assets.pipeline.checks.freshness import Age, ages, judge_age
from dms_assets.pipeline.checks.freshness_checks import build_freshness_checks, turned
from dms_assets.pipeline.checks.freshness_policy import longest_pause, with_metadata_freshness
from dms_assets.pipeline.reconciliation.watermark import Coverage

QUIET, BUSY = TableName("s", "quiet"), TableName("s", "busy")
NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SPEC = SourceSpec.model_validate(
    {
        "name": "src",
        "engine": "postgres",
        "connection": {"secret": "x"},
        "schema": "s",
        "tables": ["quiet", {"name": "busy", "freshness": "10m"}],
        "schedule": {"metadata": "0 6 * * *"},
    }
)


def coverage(
    *instants: datetime, oldest: dict[TableName, datetime] | None = None, waiting: dict[TableName, str] | None = None
) -> Coverage:
    """Watermarks that were landed a minute after their instant; both tables were loaded long before."""
    return Coverage(
        reached=tuple(Watermark(instant, instant + MINUTE) for instant in instants),
        begun=dict.fromkeys((QUIET, BUSY), NOW - 100 * HOUR),
        oldest=oldest or {},
        waiting=waiting or {},
        quarantined=frozenset(),
        summaries={QUIET: TableSummary(batch=1), BUSY: TableSummary(batch=7)},
    )


def found(state: Coverage, covered: dict[TableName, Covered] | None = None) -> dict[tuple[Layer, TableName], Age]:
    built = {("src", name): item for name, item in (covered or {}).items()}
    return {(age.layer, age.table): age for age in ages(SPEC, state, built)}


def test_a_quiet_table_is_fresh_as_long_as_the_watermark_moves() -> None:
    """Its last change and its last build were ten days ago; nothing came since."""
    old = Covered(NOW - 240 * HOUR, NOW - 240 * HOUR, batch=1)
    known = found(coverage(NOW - MINUTE), {QUIET: old})
    for layer in (Layer.LANDING, Layer.VALIDATED, Layer.CURATED):
        assert known[layer, QUIET].instant == NOW - MINUTE
        assert judge_age(known[layer, QUIET], HOUR, NOW, NOW).passed


def test_a_watermark_that_stands_makes_every_layer_stale() -> None:
    known = found(coverage(NOW - 2 * HOUR), {QUIET: Covered(NOW - 3 * HOUR, None, batch=1)})
    verdicts = [judge_age(known[layer, QUIET], HOUR, NOW, NOW) for layer in (Layer.LANDING, Layer.VALIDATED)]
    assert not any(verdict.passed for verdict in verdicts)
    assert verdicts[0].expected == "every change that is older than 1:00:00"
    assert verdicts[0].found == "complete to 2026-01-02 10:00:00 UTC, 2:00:00 ago"
    assert "task" in verdicts[0].remedy


def test_files_that_wait_make_validated_old_and_not_landing() -> None:
    state = coverage(NOW - 3 * HOUR, NOW - MINUTE, oldest={BUSY: NOW - 2 * HOUR})
    known = found(state)
    assert judge_age(known[Layer.LANDING, BUSY], HOUR, NOW, NOW).passed
    stale = judge_age(known[Layer.VALIDATED, BUSY], HOUR, NOW, NOW)
    assert not stale.passed
    assert stale.instant == NOW - 3 * HOUR
    assert "the oldest file in landing was written at 2026-01-02 10:00:00 UTC" in stale.found
    assert judge_age(known[Layer.VALIDATED, QUIET], HOUR, NOW, NOW).passed


def test_a_build_that_lacks_batches_makes_curated_old_and_not_validated() -> None:
    known = found(coverage(NOW - MINUTE), {BUSY: Covered(NOW - 2 * HOUR, None, batch=6)})
    assert judge_age(known[Layer.VALIDATED, BUSY], HOUR, NOW, NOW).passed
    stale = judge_age(known[Layer.CURATED, BUSY], HOUR, NOW, NOW)
    assert not stale.passed
    assert "built of batch 6, there is 7" in stale.found


def test_a_table_with_a_file_in_quarantine_grows_old_from_when_it_was_last_known_to_be_complete() -> None:
    events, cursor = turned(SPEC, list(found(coverage(NOW)).values()), {}, NOW)
    assert {verdict.passed for verdict in events} == {True}
    held = list(found(coverage(NOW + 5 * MINUTE, waiting={BUSY: "files are in quarantine: abc"})).values())
    assert turned(SPEC, held, cursor, NOW + 6 * MINUTE)[0] == []
    # After the limit of ten minutes; the quiet table's is an hour.
    later, cursor = turned(SPEC, held, cursor, NOW + 11 * MINUTE)
    assert [(verdict.layer, verdict.table) for verdict in later if not verdict.passed] == [
        (Layer.VALIDATED, BUSY),
        (Layer.CURATED, BUSY),
    ]
    assert "files are in quarantine: abc" in later[0].found
    again = list(found(coverage(NOW + 12 * MINUTE)).values())
    released, _ = turned(SPEC, again, cursor, NOW + 12 * MINUTE)
    assert [(verdict.layer, verdict.passed) for verdict in released] == [(Layer.VALIDATED, True)]


def test_nothing_is_told_twice() -> None:
    known = list(found(coverage(NOW - 2 * HOUR)).values())
    first, cursor = turned(SPEC, known, {}, NOW)
    assert len(first) == 6
    assert turned(SPEC, known, cursor, NOW + MINUTE)[0] == []


def test_before_the_first_start_there_is_nothing() -> None:
    verdict = judge_age(Age(Layer.LANDING, QUIET, None, ""), HOUR, NOW, None)
    assert not verdict.passed
    assert verdict.found == "nothing: the task was never started"


def test_every_table_has_the_check_in_three_layers_with_its_limit() -> None:
    specs = {spec.key: spec for spec in build_freshness_checks(SPEC).check_specs}
    assert len(specs) == 6
    described = specs[dg.AssetCheckKey(dg.AssetKey(["src", "curated", "s", "busy"]), "fresh")].description
    assert "The limit is 0:10:00" in str(described)


@pytest.mark.parametrize(
    ("cron", "pause"), [("0 6 * * *", 24), ("0 6 * * 1-5", 72), ("*/30 * * * *", 0.5), ("0 6 1 * *", 31 * 24)]
)
def test_the_longest_pause_of_a_schedule(cron: str, pause: float) -> None:
    assert longest_pause(cron) == timedelta(hours=pause)


def test_metadata_is_to_be_read_as_often_as_its_schedule_says() -> None:
    (asset,) = with_metadata_freshness(SPEC, [dg.AssetSpec("metadata")])
    assert asset.freshness_policy == dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=25))
    never = SPEC.model_copy(update={"schedule": SPEC.schedule.model_copy(update={"metadata": None})})
    assert with_metadata_freshness(never, [dg.AssetSpec("metadata")])[0].freshness_policy is None
