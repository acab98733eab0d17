"""The validated assets: run the commit protocol over the pending files of the selected tables."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dms_assets.installation import Installation
from dms_assets.lake.table_outcome import TableOutcome
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.blocking_checks import evaluations
from dms_assets.pipeline.hold import judge, read_summaries
from dms_assets.pipeline.ingestion import Ingestion, MetadataMissingError
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.resources import DmsResource
from dms_assets.validation.outcome import CheckOutcome, Group

_ABOUT = {
    Group.READABLE: "Every file of the last batch is whole Parquet that can be read within limits.",
    Group.SCHEMA: "Columns and exact types are those of the metadata.",
    Group.OP: "Every change says what it is: I, U or D.",
    Group.SEQUENCE: "Every change has its place: commit time and sequence can be read.",
    Group.KEY: "No key column is null.",
    Group.NULLABILITY: "Columns the source does not allow to be null are not.",
    Group.LENGTH: "No value is longer than the source allows.",
    Group.DOMAIN: "Values are those the source or the declaration allows.",
    Group.UNIQUE: "No key is twice in a load.",
}
INGEST_POOL = "ingest"


class IngestError(RuntimeError):
    """Some tables could not be ingested; the others were."""

    def __init__(self, failures: dict[TableName, Exception]) -> None:
        told = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in failures.items())
        super().__init__(f"{len(failures)} tables failed, all others were ingested: {told}")


def rule_checks(asset: dg.AssetKey) -> list[dg.AssetCheckKey]:
    """The checks that a run of the asset itself evaluates."""
    return [dg.AssetCheckKey(asset, group.value) for group in Group]


def _about_batch(outcome: TableOutcome) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "rows in batch": outcome.rows,
        "files in batch": outcome.files,
        "operations": outcome.ops,
        "rejected files": [f"{item.entry_id}: {item.reason}" for item in outcome.rejected],
        "waiting": [f"{item.files} files: {item.reason}" for item in outcome.waiting],
        "attempts": outcome.attempts,
    }
    if outcome.committed:
        metadata |= {
            "batch": outcome.batch,
            "batch id": outcome.batch_id,
            "snapshot id": str(outcome.snapshot_id),
            "loads": [f"{load.load_id}: {load.rows} rows" for load in outcome.loads],
        }
    return metadata


def _check(key: dg.AssetKey, group: Group, found: CheckOutcome | None) -> dg.AssetCheckResult:
    """Rejected rows never enter the table, so a failed rule warns about the files and blocks nothing."""
    if found is None:
        return dg.AssetCheckResult(
            asset_key=key, check_name=group.value, passed=True, metadata={"found": "no file to judge in this run"}
        )
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=group.value,
        passed=found.passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "expected": found.expected,
            "found": found.found,
            "failing": found.failing,
            "key hashes": list(found.key_hashes),
        },
    )


def _results(
    context: dg.AssetExecutionContext, spec: SourceSpec, outcome: TableOutcome
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    key = table_key(spec.name, Layer.VALIDATED, outcome.table)
    checks = [
        _check(key, group, outcome.checks.get(group))
        for group in Group
        if dg.AssetCheckKey(key, group.value) in context.selected_asset_check_keys
    ]
    if outcome.committed:
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=_about_batch(outcome),
            data_version=dg.DataVersion(str(outcome.snapshot_id)),
        )
    yield from checks


def build_validated_assets(spec: SourceSpec, specs: list[dg.AssetSpec]) -> dg.AssetsDefinition:
    """One op for all tables of a source: tables one after the other, one validation process for all of them."""

    @dg.multi_asset(
        name=f"{spec.name}_validated",
        # A run that finds nothing to commit materialises nothing.
        specs=[asset.replace_attributes(skippable=True) for asset in specs],
        can_subset=True,
        check_specs=[
            dg.AssetCheckSpec(group.value, asset=asset.key, description=about)
            for asset in specs
            for group, about in _ABOUT.items()
        ],
    )
    def validated(
        context: dg.AssetExecutionContext, installation: dg.ResourceParam[Installation], dms: DmsResource
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        names = [
            name
            for name in spec.table_names
            if table_key(spec.name, Layer.VALIDATED, name) in context.selected_asset_keys
        ]
        failures: dict[TableName, Exception] = {}
        with Ingestion(installation, spec, dms) as ingestion:
            for name in names:
                try:
                    outcome = ingestion.take(name)
                except MetadataMissingError as error:
                    failures[name] = error
                    continue
                except Exception as error:
                    context.log.exception("table %s failed", name)
                    failures[name] = error
                    continue
                context.log.info("%s: %s", name, _about_batch(outcome))
                yield from _results(context, spec, outcome)
        verdicts = judge(installation, spec, read_summaries(installation, spec, names))
        for evaluation in evaluations(context.instance, spec, verdicts):
            context.instance.report_runless_asset_event(evaluation)
        if failures:
            raise IngestError(failures)

    return validated
