"""What follows what, evaluated by Dagster itself on a real instance."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.automation import curation_condition, follow
from dms_assets.pipeline.checks.blocking import evaluations
from dms_assets.pipeline.checks.hold import Verdict

NOON = datetime(2026, 11, 22, 12, 1, tzinfo=UTC)
SOURCE, COPY = dg.AssetKey(["src", "validated", "s", "t"]), dg.AssetKey("copy")


def definitions(*, checked: bool = False, while_running: Callable[[], None] = lambda: None) -> dg.Definitions:
    condition = curation_condition(["validated"]) if checked else follow()

    @dg.asset(key=COPY, deps=[SOURCE], automation_condition=condition)
    def copy() -> None:
        while_running()

    # Not an external asset: a selection by group would leave it out.
    @dg.asset(key=SOURCE, group_name="validated")
    def source() -> None:
        return None

    @dg.asset_check(asset=SOURCE, name="held", blocking=True)
    def held() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    return dg.Definitions(assets=[source, copy], asset_checks=[held])


def requested(
    defs: dg.Definitions, instance: dg.DagsterInstance, cursor: object = None, later: timedelta = timedelta()
) -> tuple[bool, object]:
    result = dg.evaluate_automation_conditions(
        defs,
        instance,
        cursor=cursor,  # type: ignore[arg-type]
        evaluation_time=NOON + later,
    )
    return result.get_num_requested(COPY) == 1, result.cursor


def report(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(SOURCE))


def evaluate(instance: dg.DagsterInstance, *, passed: bool) -> None:
    """Report a verdict on the table, as sensor and runs do: at once after the materialisation."""
    spec = SourceSpec.model_validate(
        {"name": "src", "engine": "postgres", "connection": {"secret": "x"}, "schema": "s", "tables": ["t"]}
    )
    verdict = Verdict(TableName("s", "t"), "held", passed=passed, expected="", found="")
    for evaluation in evaluations(instance, spec, [verdict]):
        instance.report_runless_asset_event(evaluation)


def test_what_was_there_before_the_first_look_is_followed() -> None:
    instance, defs = dg.DagsterInstance.ephemeral(), definitions()
    report(instance)
    assert requested(defs, instance)[0]


def test_nothing_is_followed_that_is_not_there() -> None:
    assert not requested(definitions(), dg.DagsterInstance.ephemeral())[0]


def test_each_update_is_followed_once() -> None:
    instance, defs = dg.DagsterInstance.ephemeral(), definitions()
    report(instance)
    asked, cursor = requested(defs, instance)
    assert asked
    assert not requested(defs, instance, cursor)[0], "a request that came to nothing is not repeated for ever"
    dg.materialize([defs.resolve_assets_def(COPY)], instance=instance)
    asked, cursor = requested(defs, instance, cursor)
    assert not asked
    report(instance)
    assert requested(defs, instance, cursor)[0]


@pytest.mark.parametrize("cause", ["never started", "failed", "cancelled"])
def test_a_request_that_came_to_nothing_is_repeated_until_it_is_done(cause: str) -> None:
    instance, defs = dg.DagsterInstance.ephemeral(), definitions()
    dg.materialize([defs.resolve_assets_def(COPY), defs.resolve_assets_def(SOURCE)], instance=instance)
    _, cursor = requested(defs, instance)
    report(instance)
    asked, cursor = requested(defs, instance, cursor)
    assert asked
    if cause != "never started":
        job = defs.resolve_implicit_global_asset_job_def()
        run = instance.create_run_for_job(job, asset_selection=frozenset({COPY}))
        instance.report_run_failed(run) if cause == "failed" else instance.report_run_canceled(run)
    asked, cursor = requested(defs, instance, cursor, timedelta(minutes=8))
    assert not asked
    for minutes, due in ((11, True), (12, False), (21, True), (22, False)):
        asked, cursor = requested(defs, instance, cursor, timedelta(minutes=minutes))
        assert asked == due, f"{minutes} minutes later"
    dg.materialize([defs.resolve_assets_def(COPY)], instance=instance)
    for minutes in (23, 31, 41):
        asked, cursor = requested(defs, instance, cursor, timedelta(minutes=minutes))
        assert not asked


def test_an_update_right_after_a_request_is_not_lost() -> None:
    instance, defs = dg.DagsterInstance.ephemeral(), definitions()
    report(instance)
    asked, cursor = requested(defs, instance)
    assert asked
    report(instance)
    assert requested(defs, instance, cursor)[0]


def test_an_update_while_a_run_is_under_way_is_not_lost() -> None:
    instance = dg.DagsterInstance.ephemeral()
    defs = definitions(while_running=lambda: report(instance))
    report(instance)
    asked, cursor = requested(defs, instance)
    assert asked
    asked, cursor = requested(defs, instance, cursor)
    assert not asked
    dg.materialize([defs.resolve_assets_def(COPY)], instance=instance)
    assert requested(defs, instance, cursor)[0]


def test_a_verdict_in_the_second_of_the_materialisation_is_one_on_it() -> None:
    instance, defs = dg.DagsterInstance.ephemeral(), definitions(checked=True)
    asked, cursor = requested(defs, instance)
    for _ in range(3):
        dg.materialize([defs.resolve_assets_def(SOURCE)], instance=instance)
        evaluate(instance, passed=True)
        asked, cursor = requested(defs, instance, cursor)
        assert asked


def test_a_held_table_is_not_followed_until_it_is_released() -> None:
    instance, defs = dg.DagsterInstance.ephemeral(), definitions(checked=True)
    report(instance)
    evaluate(instance, passed=False)
    asked, cursor = requested(defs, instance)
    assert not asked
    asked, cursor = requested(defs, instance, cursor)
    assert not asked
    evaluate(instance, passed=True)
    assert requested(defs, instance, cursor)[0]


def test_a_release_is_a_reason_to_run() -> None:
    """A build asked for before a hold may have left the table out, and a discard brings no new batch."""
    instance, defs = dg.DagsterInstance.ephemeral(), definitions(checked=True)
    report(instance)
    evaluate(instance, passed=True)
    asked, cursor = requested(defs, instance)
    assert asked
    evaluate(instance, passed=False)
    asked, cursor = requested(defs, instance, cursor)
    assert not asked
    evaluate(instance, passed=True)
    assert requested(defs, instance, cursor)[0]
