"""The freshness checks: reported by a sensor when they turn, and evaluated on demand."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from dms_assets.installation import Installation
from dms_assets.model.document_format import dump, load
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.checks.freshness import (
    FRESH_CHECK,
    FRESH_LAYERS,
    Age,
    FreshnessVerdict,
    began,
    judge_age,
    read_ages,
)
from dms_assets.pipeline.keys import table_key

CURSOR_FORMAT = 1
_ABOUT = {
    Layer.LANDING: "Every commit of the source has landed, but for the newest.",
    Layer.VALIDATED: "Every change of the table has been taken in, but for the newest.",
    Layer.CURATED: "History and current state show every change of the table, but the newest.",
}


def _facts(spec: SourceSpec, verdict: FreshnessVerdict) -> dict[str, Any]:
    metadata: dict[str, Any] = {"expected": verdict.expected, "found": verdict.found}
    if verdict.remedy:
        metadata["remedy"] = verdict.remedy
    if verdict.instant is not None:
        metadata["complete to"] = dg.MetadataValue.timestamp(verdict.instant)
    return {
        "asset_key": table_key(spec.name, verdict.layer, verdict.table),
        "check_name": FRESH_CHECK,
        "passed": verdict.passed,
        "severity": dg.AssetCheckSeverity.WARN,
        "metadata": metadata,
    }


def build_freshness_checks(spec: SourceSpec) -> dg.AssetChecksDefinition:
    """One check for each of landing, validated and curated of every table; limits are those of the declaration."""

    @dg.multi_asset_check(
        name=f"{spec.name}_freshness",
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(
                FRESH_CHECK,
                asset=table_key(spec.name, layer, name),
                description=f"{_ABOUT[layer]} The limit is {spec.freshness_limit(name)} (`freshness` in defs.yaml). A "
                "quiet table is fresh as long as the source's watermark moves.",
            )
            for layer in FRESH_LAYERS
            for name in spec.table_names
        ],
    )
    def freshness(
        context: dg.AssetCheckExecutionContext, installation: dg.ResourceParam[Installation]
    ) -> Iterator[dg.AssetCheckResult]:
        now = datetime.now(UTC)
        since = began(installation, spec)
        for age in read_ages(installation, spec):
            facts = _facts(spec, judge_age(age, spec.freshness_limit(age.table), now, since))
            if dg.AssetCheckKey(facts["asset_key"], FRESH_CHECK) in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(**facts)

    return freshness


def _name(layer: Layer, table: TableName) -> str:
    return f"{layer.value} {table}"


def turned(
    spec: SourceSpec, found: list[Age], cursor: Mapping[str, Any], now: datetime
) -> tuple[list[FreshnessVerdict], dict[str, Any]]:
    """The verdicts that differ from those told before, and the next cursor.

    The cursor holds for each layer of a table the instant it was last known to be complete to (or when it was first
    looked at) and what was told: what is not known any more was known once, and grows old from there.
    """
    changed: list[FreshnessVerdict] = []
    remembered: dict[str, Any] = {}
    for age in found:
        before = cursor.get(_name(age.layer, age.table), {})
        since = age.instant or (datetime.fromisoformat(before["since"]) if before else now)
        verdict = judge_age(age, spec.freshness_limit(age.table), now, since)
        if before.get("passed") is not verdict.passed:
            changed.append(verdict)
        remembered[_name(age.layer, age.table)] = {"since": since.isoformat(), "passed": verdict.passed}
    return changed, remembered


def build_freshness_sensor(spec: SourceSpec) -> dg.SensorDefinition:
    """A sensor that writes a check's evaluation when it turns, and nothing else."""

    @dg.sensor(
        name=f"{spec.name}_freshness_sensor",
        description=f"Says when a table of {spec.name} becomes stale, or fresh again.",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def freshness_sensor(
        context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
    ) -> dg.SensorResult | dg.SkipReason:
        if began(installation, spec) is None:
            return dg.SkipReason("the task was never started: nothing can be stale yet")
        cursor = load(context.cursor or "{}", CURSOR_FORMAT, f"the cursor of {spec.name}_freshness_sensor")
        changed, remembered = turned(spec, read_ages(installation, spec), cursor, datetime.now(UTC))
        events = [dg.AssetCheckEvaluation(**_facts(spec, verdict)) for verdict in changed]
        return dg.SensorResult(
            asset_events=events,
            cursor=dump(remembered, CURSOR_FORMAT),
            skip_reason=None if events else f"nothing turned in {len(remembered)} checks",
        )

    return freshness_sensor
