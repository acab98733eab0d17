"""Automation inside the graph: when metadata is read again and when dbt builds."""

from __future__ import annotations

from typing import Any

import dagster as dg

AGAIN_CRON = "*/10 * * * *"
"""When what was asked for and came to nothing is asked for again."""


def follow(also: dg.AutomationCondition[Any] | None = None) -> dg.AutomationCondition[Any]:
    """Run when something upstream is new, or when the asset itself was never made; once for each.

    Differs from `eager` in what loses no update:

    - what was upstream before the first look counts: `eager` takes the first look as its baseline, so that a table
      reported a second before it would never be built;
    - an update that comes while a run is under way is followed by another: `eager` counts everything as handled when
      the run ends;
    - so is one that is seen in the very look after the request, where a reset would win over it;
    - a request that came to nothing, because its run could not be started, failed or was cancelled, is repeated every
      ten minutes until a run brings the asset up to date.

    `also` is one more reason to run.
    """
    updated = dg.AutomationCondition.any_deps_updated()
    handled = dg.AutomationCondition.newly_requested() & ~updated
    behind = updated.since(dg.AutomationCondition.newly_updated())
    again = behind & dg.AutomationCondition.cron_tick_passed(AGAIN_CRON)
    reason = dg.AutomationCondition.missing().newly_true() | updated | again
    if also is not None:
        reason |= also
    return (
        reason.since(handled)
        & ~dg.AutomationCondition.any_deps_missing()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    ).with_label("follow")


def curation_condition(validated_groups: list[str]) -> dg.AutomationCondition[Any]:
    """Follow, but not past a table that is held.

    Failed blocking checks of earlier runs stop nothing by themselves. The restriction to the validated groups
    matters: dbt tests are blocking checks too, and waiting for tests that never ran would build a first load in waves.
    """
    groups = dg.AssetSelection.groups(*validated_groups)
    passed = dg.AutomationCondition.all_deps_blocking_checks_passed().allow(groups)
    # A release is a reason of its own: a build asked for before the hold may have left the table out.
    return follow(passed.newly_true()) & passed


def build_automation_sensors() -> list[dg.SensorDefinition]:
    """One sensor for metadata and one for dbt, so that a run never holds both."""
    dbt = dg.AssetSelection.kind("dbt")
    return [
        dg.AutomationConditionSensorDefinition(
            "metadata_automation",
            target=dg.AssetSelection.all() - dbt,
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=10,
            description="Reads a table's metadata again when its source changed.",
        ),
        dg.AutomationConditionSensorDefinition(
            "curation_automation",
            target=dbt,
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=5,
            description="Builds the dbt models whose validated tables are new and not held.",
        ),
    ]
