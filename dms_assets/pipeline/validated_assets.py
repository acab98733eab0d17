"""The validated assets: run the commit protocol over the pending files of the selected tables."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dms_assets.installation import Installation
from dms_assets.lake.table_outcome import TableOutcome
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.checks.blocking import evaluations
from dms_assets.pipeline.checks.hold import judge, read_summaries
from dms_assets.pipeline.checks.quarantine_links import report_links
from dms_assets.pipeline.checks.rules import rule_check_result, rule_check_specs
from dms_assets.pipeline.failed_assets import SomeAssetsFailedError
from dms_assets.pipeline.ingestion import Ingestion, MetadataMissingError
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.resources import DmsResource
from dms_assets.validation.outcome import Group

INGEST_POOL = "ingest"


class IngestError(SomeAssetsFailedError):
    """Some tables could not be ingested; the others were."""

    def __init__(self, source: str, failures: dict[TableName, Exception]) -> None:
        told = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in failures.items())
        super().__init__(
            f"{len(failures)} tables failed, all others were ingested: {told}",
            [table_key(source, Layer.VALIDATED, name) for name in failures],
        )


def about_batch(source: str, outcome: TableOutcome) -> dict[str, Any]:
    """Metadata of a materialisation: what the batch holds, what was rejected, what waits."""
    metadata: dict[str, Any] = {
        "rows in batch": outcome.rows,
        "files in batch": outcome.files,
        "operations": outcome.ops,
        "rejected files": [f"{item.entry_id}: {item.reason}" for item in outcome.rejected],
        "waiting": [f"{item.files} files: {item.reason}" for item in outcome.waiting],
        "attempts": outcome.attempts,
        **report_links(source, {*outcome.held, *(item.entry_id for item in outcome.rejected)}),
    }
    if outcome.steps_back:
        metadata["rows out of sequence in their file"] = outcome.steps_back
    if outcome.committed:
        metadata |= {
            "dagster/row_count": outcome.total_rows,
            "batch": outcome.batch,
            "batch id": outcome.batch_id,
            "snapshot id": str(outcome.snapshot_id),
            "loads": [f"{load.load_id}: {load.rows} rows" for load in outcome.loads],
        }
    return metadata


def _summary(outcome: TableOutcome) -> str:
    took = f"batch {outcome.batch}: {outcome.rows} rows of {outcome.files} files" if outcome.committed else "no batch"
    rejected = f"; rejected {len(outcome.rejected)} files" if outcome.rejected else ""
    return f"{took}{rejected}" + "".join(f"; {item.files} files wait: {item.reason}" for item in outcome.waiting)


def _results(
    context: dg.AssetExecutionContext, spec: SourceSpec, outcome: TableOutcome
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    key = table_key(spec.name, Layer.VALIDATED, outcome.table)
    about = about_batch(spec.name, outcome)
    if outcome.committed:
        yield dg.MaterializeResult(asset_key=key, metadata=about, data_version=dg.DataVersion(str(outcome.snapshot_id)))
    elif outcome.rejected:
        # Nothing was committed, and yet something happened to the table's files.
        context.log_event(dg.AssetObservation(key, metadata=about))
    for group in Group:
        if dg.AssetCheckKey(key, group.value) in context.selected_asset_check_keys:
            yield rule_check_result(spec.name, key, group, outcome.checks.get(group))


def build_validated_assets(spec: SourceSpec, specs: list[dg.AssetSpec]) -> dg.AssetsDefinition:
    """One op for all tables of a source: tables one after the other, one validation process for all of them."""

    @dg.multi_asset(
        name=f"{spec.name}_validated",
        # A run that finds nothing to commit materialises nothing.
        specs=[asset.replace_attributes(skippable=True) for asset in specs],
        can_subset=True,
        check_specs=[check for asset in specs for check in rule_check_specs(asset.key)],
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
                context.log.info("%s: %s", name, _summary(outcome))
                yield from _results(context, spec, outcome)
        verdicts = judge(installation, spec, read_summaries(installation, spec, names))
        for evaluation in evaluations(context.instance, spec, verdicts):
            context.instance.report_runless_asset_event(evaluation)
        if failures:
            raise IngestError(spec.name, failures)

    return validated
