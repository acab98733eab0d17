"""The blocking checks of validated tables: what holds a table's curated relations.

They are evaluated without a run by the landing sensor and by every run that ingests, so that a good run does not turn
red because of what it found; and by a run of their own, on demand.
"""

from collections.abc import Iterable, Iterator

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from dms_assets.installation import Installation
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.checks.hold import LOAD_CHECK, QUARANTINE_CHECK, STREAM_CHECK, Verdict, judge, read_summaries
from dms_assets.pipeline.checks.quarantine_links import report_links
from dms_assets.pipeline.keys import table_key, table_of

_ABOUT = {
    QUARANTINE_CHECK: (
        "No file of the table waits in quarantine for a decision. While one does, the table's curated relations stay "
        "as they are (or go on without it, where defs.yaml says `on_quarantine: continue`)."
    ),
    LOAD_CHECK: "No load of the table is stuck: each becomes complete by itself, or is reloaded.",
    STREAM_CHECK: (
        "The table was loaded in the stream its changes are in: nothing is missing in between. A task that is started "
        "afresh begins a new stream; one that is resumed does not."
    ),
}


def evaluations(
    instance: dg.DagsterInstance, spec: SourceSpec, verdicts: Iterable[Verdict]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Verdicts as events that need no run.

    Each names the materialisation it is about. Without that Dagster compares times, and SQLite's are whole seconds: a
    verdict in the second of the materialisation would count as one on the materialisation before.
    """
    targets: dict[TableName, AssetCheckEvaluationTargetMaterializationData | None] = {}
    for verdict in verdicts:
        key = table_key(spec.name, Layer.VALIDATED, verdict.table)
        if verdict.table not in targets:
            targets[verdict.table] = _latest(instance, key)
        yield dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=verdict.check,
            passed=verdict.passed,
            severity=_severity(verdict),
            metadata=_about(spec, verdict),
            blocking=verdict.holds,
            target_materialization_data=targets[verdict.table],
        )


def _about(spec: SourceSpec, verdict: Verdict) -> dict[str, dg.MetadataValue]:
    told = {"expected": verdict.expected, "found": verdict.found}
    if verdict.remedy:
        told["remedy"] = verdict.remedy
    texts: dict[str, dg.MetadataValue] = {name: dg.MetadataValue.text(text) for name, text in told.items()}
    return {**texts, **report_links(spec.name, verdict.entries)}


def _latest(instance: dg.DagsterInstance, key: dg.AssetKey) -> AssetCheckEvaluationTargetMaterializationData | None:
    records = instance.fetch_materializations(key, limit=1).records
    if not records:
        return None
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=records[0].storage_id, run_id=records[0].run_id, timestamp=records[0].timestamp
    )


def _severity(verdict: Verdict) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if verdict.holds else dg.AssetCheckSeverity.WARN


def build_blocking_checks(spec: SourceSpec, specs: list[dg.AssetSpec]) -> dg.AssetChecksDefinition:
    """All three checks of all tables of a source."""

    @dg.multi_asset_check(
        name=f"{spec.name}_holds",
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(
                check,
                asset=asset.key,
                description=about,
                blocking=check != QUARANTINE_CHECK or spec.table(table_of(asset.key)).on_quarantine == "hold",
            )
            for asset in specs
            for check, about in _ABOUT.items()
        ],
    )
    def holds(
        context: dg.AssetCheckExecutionContext, installation: dg.ResourceParam[Installation]
    ) -> Iterator[dg.AssetCheckResult]:
        selected = context.selected_asset_check_keys
        names = sorted({table_of(key.asset_key) for key in selected})
        for verdict in judge(installation, spec, read_summaries(installation, spec, names)):
            key = table_key(spec.name, Layer.VALIDATED, verdict.table)
            if dg.AssetCheckKey(key, verdict.check) in selected:
                yield dg.AssetCheckResult(
                    asset_key=key,
                    check_name=verdict.check,
                    passed=verdict.passed,
                    severity=_severity(verdict),
                    metadata=_about(spec, verdict),
                )

    return holds
