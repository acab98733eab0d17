"""The check `reconciled` on every curated table: it equals its source at an instant. By schedule, and on demand."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dms_assets.installation import Installation
from dms_assets.model.names import Layer
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.keys import table_key, table_of
from dms_assets.pipeline.reconciliation.reconcile import Reconciler
from dms_assets.pipeline.reconciliation.reload_job import reload_page
from dms_assets.reconcile.result import ReconciliationResult

RECONCILED_CHECK = "reconciled"


def _never() -> dg.AutomationCondition[Any]:
    """A check with a condition of its own does not ride along with every build of its asset."""
    running = dg.AutomationCondition.in_progress()
    return (running & ~running).with_label("by schedule or on demand")


def check_metadata(source: str, result: ReconciliationResult) -> dict[str, Any]:
    """What the check shows: counts, hashes of keys, the instants, and the way to repair; no values."""
    shown: dict[str, Any] = {
        "instant": dg.MetadataValue.timestamp(result.at),
        "compared": result.method if result.compared else "nothing",
        "rows in the source": result.source_rows,
        "rows in curated": result.curated_rows,
        "missing": result.missing,
        "extra": result.extra,
        "different": result.different,
        "in doubt": result.in_doubt,
    }
    if result.watermark is not None:
        shown["watermark"] = dg.MetadataValue.timestamp(result.watermark)
    if result.reason:
        shown["reason"] = result.reason
    if result.structure:
        shown["structure"] = "; ".join(result.structure)
    if result.duplicates:
        shown["repeated rows"] = result.duplicates
    if result.healed_buckets:
        shown["buckets that differed at the instant only"] = result.healed_buckets
    if result.keys:
        shown["differing keys (hashes)"] = dg.MetadataValue.md("\n".join(f"- {key}" for key in result.keys))
    if result.doubtful_keys:
        shown["keys in doubt (hashes)"] = dg.MetadataValue.md("\n".join(f"- {key}" for key in result.doubtful_keys))
    if result.diverged:
        shown["remedy"] = (
            f"find out why, then load the table again: `dms-assets reload {result.table.table} --source {source} "
            f"--reason ...`; `dms-assets reconcile --source {source} --table {result.table.table}` names the keys"
        )
        shown["reload"] = dg.MetadataValue.url(reload_page(source, result.table))
    return shown


def check_result(source: str, result: ReconciliationResult) -> dg.AssetCheckResult:
    """The check of one table. One that could not be compared warns: nothing is known to be wrong."""
    return dg.AssetCheckResult(
        asset_key=table_key(source, Layer.CURATED, result.table),
        check_name=RECONCILED_CHECK,
        passed=result.equal,
        severity=dg.AssetCheckSeverity.ERROR if result.compared else dg.AssetCheckSeverity.WARN,
        metadata=check_metadata(source, result),
    )


def build_reconciliation(spec: SourceSpec) -> dg.Definitions:
    """The checks of a source, the job that evaluates all of them, and its schedule, if one is declared."""

    @dg.multi_asset_check(
        name=f"{spec.name}_reconciled",
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(
                RECONCILED_CHECK,
                asset=table_key(spec.name, Layer.CURATED, name),
                description="Every column of every row equals the source's at one instant.",
                automation_condition=_never(),
            )
            for name in spec.table_names
        ],
    )
    def reconciled(
        context: dg.AssetCheckExecutionContext, installation: dg.ResourceParam[Installation]
    ) -> Iterator[dg.AssetCheckResult]:
        selected = {table_of(key.asset_key) for key in context.selected_asset_check_keys}
        names = [name for name in spec.table_names if name in selected]
        for found in Reconciler(installation, spec, say=context.log.info).run(names):
            yield check_result(spec.name, found.result)

    job = dg.define_asset_job(
        f"{spec.name}_reconcile",
        selection=dg.AssetSelection.checks(reconciled),
        description=f"Compares every curated table of {spec.name} with the source at one instant, value by value.",
    )
    schedules = []
    if spec.schedule.reconcile is not None:
        schedules.append(
            dg.ScheduleDefinition(
                name=f"{spec.name}_reconcile_schedule",
                job=job,
                cron_schedule=spec.schedule.reconcile,
                execution_timezone="UTC",
                description=f"Reconciles {spec.name} with its source.",
                default_status=dg.DefaultScheduleStatus.RUNNING,
            )
        )
    return dg.Definitions(asset_checks=[reconciled], jobs=[job], schedules=schedules)
