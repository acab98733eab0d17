"""The dbt project as assets: every model an asset, every test a check, every exposure an asset that others make."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from dms_assets.curation.dbt_run import NodeResult
from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.model.names import Layer
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.automation import curation_condition
from dms_assets.pipeline.column_links import Ancestry, Origin, column_description, lineage_page, table_lineage
from dms_assets.pipeline.dbt.catalogue import (
    Catalogue,
    CatalogueCheck,
    CatalogueColumn,
    CatalogueExposure,
    CatalogueModel,
    dbt_target,
    read_catalogue,
)
from dms_assets.pipeline.dbt.derived_sensor import build_derived_sensor
from dms_assets.pipeline.keys import group

if TYPE_CHECKING:
    from dms_assets.pipeline.dbt.build import Built

WAREHOUSE_POOL = "warehouse"
"""One process at a time may open the DuckDB file."""


class ModelsFailedError(RuntimeError):
    """Some models could not be built; the others were."""

    def __init__(self, nodes: Sequence[NodeResult], log: Path) -> None:
        told = "; ".join(f"{node.unique_id}: {node.message}" for node in nodes)
        super().__init__(f"{len(nodes)} models failed, all others were built: {told}. The SQL is in {log}")


def _ancestry(column: CatalogueColumn) -> Ancestry:
    return Ancestry(
        origins=[Origin(dg.AssetKey(path), name) for path, name in column.origins],
        sources=[Origin(dg.AssetKey(path), name, comment) for path, name, comment in column.sources],
        note=column.note,
    )


def _metadata(model: CatalogueModel) -> dict[str, Any]:
    ancestry = {column.name: _ancestry(column) for column in model.columns}
    return {
        "dagster/table_name": model.table_name,
        "dagster/column_schema": dg.TableSchema(
            [
                dg.TableColumn(c.name, c.type, column_description(c.description or None, ancestry[c.name]))
                for c in model.columns
            ]
        ),
        "dagster/column_lineage": table_lineage(ancestry),
        "column lineage": lineage_page(dg.AssetKey(model.path)),
    }


def _description(model: CatalogueModel) -> str:
    page = lineage_page(dg.AssetKey(model.path)).url
    return f"{model.description}\n\n[Where its columns come from]({page})\n\n#### Raw SQL:\n```sql\n{model.sql}\n```"


def _model_spec(model: CatalogueModel, owners: Mapping[str, str], validated_groups: list[str]) -> dg.AssetSpec:
    owner = owners.get(model.path[0])
    return dg.AssetSpec(
        dg.AssetKey(model.path),
        deps=[dg.AssetKey(path) for path in model.deps],
        description=_description(model),
        metadata=_metadata(model),
        # A held table's relations stay as they are.
        skippable=True,
        group_name=model.group,
        code_version=model.code_version,
        automation_condition=curation_condition(validated_groups),
        owners=[owner] if model.curated and owner else model.owners,
        kinds=set(model.kinds),
    )


def _check_spec(check: CatalogueCheck) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        check.name,
        asset=dg.AssetKey(check.path),
        description=check.description or None,
        additional_deps=[dg.AssetKey(path) for path in check.deps],
        blocking=check.blocking,
    )


def _exposure_spec(exposure: CatalogueExposure) -> dg.AssetSpec:
    """Others make it: there is nothing to materialise, and the lineage shows who uses what."""
    return dg.AssetSpec(
        dg.AssetKey(exposure.path),
        deps=[dg.AssetKey(path) for path in exposure.deps],
        description=f"{exposure.label}\n\n{exposure.description}",
        metadata={"type": exposure.type, "maturity": exposure.maturity},
        group_name=f"{exposure.path[0]}_{exposure.path[1]}",
        owners=[exposure.owner],
        kinds={exposure.type},
    )


def _materialization(node: NodeResult, model: CatalogueModel, built: "Built") -> dg.MaterializeResult[None]:
    metadata: dict[str, Any] = {"relation": node.relation_name or "", "seconds": round(node.execution_time, 3)}
    rows = built.rows.get(node.relation_name or "")
    if rows is not None:
        metadata["dagster/row_count"] = rows
    instant = built.complete_to.get(node.unique_id)
    if instant is not None:
        metadata["complete to"] = dg.MetadataValue.timestamp(instant)
        metadata["seconds behind"] = round((datetime.now(UTC) - instant).total_seconds(), 1)
    return dg.MaterializeResult(asset_key=dg.AssetKey(model.path), metadata=metadata)


def _check(node: NodeResult, check: CatalogueCheck) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(check.path),
        check_name=check.name,
        passed=node.status == "pass",
        severity=dg.AssetCheckSeverity.WARN if node.status == "warn" else dg.AssetCheckSeverity.ERROR,
        metadata={"status": node.status, "failing rows": node.failures or 0, "message": node.message or ""},
    )


def _events(
    built: "Built", catalogue: Catalogue, assets: set[dg.AssetKey], checks: set[dg.AssetCheckKey]
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Materialisations first: a check is about what was just built."""
    models = {model.unique_id: model for model in catalogue.models if dg.AssetKey(model.path) in assets}
    tests = {
        check.unique_id: check
        for check in catalogue.checks
        if dg.AssetCheckKey(dg.AssetKey(check.path), check.name) in checks
    }
    for node in built.nodes:
        if node.unique_id in models and node.status == "success":
            yield _materialization(node, models[node.unique_id], built)
    for node in built.nodes:
        if node.unique_id in tests and node.status != "skipped":
            yield _check(node, tests[node.unique_id])


def build_dbt_definitions(sources: Sequence[SourceSpec], environment: Environment) -> dg.Definitions:
    """Assets of all models and exposures. Reads the catalogue, which a stack makes before it starts."""
    target = dbt_target(environment)
    catalogue = read_catalogue(target)
    owners = {spec.name: spec.owner for spec in sources}
    groups = [group(spec.name, Layer.VALIDATED) for spec in sources]

    @dg.multi_asset(
        name="dbt_models",
        specs=[_model_spec(model, owners, groups) for model in catalogue.models],
        check_specs=[_check_spec(check) for check in catalogue.checks],
        can_subset=True,
        pool=WAREHOUSE_POOL,
        # A full disk or a busy file passes; what was asked for is not asked for again.
        retry_policy=dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL),
    )
    def dbt_models(
        context: dg.AssetExecutionContext, installation: dg.ResourceParam[Installation]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        from dms_assets.pipeline.dbt.build import build_models  # noqa: PLC0415 heavy: only runs that build need it

        assets = set(context.selected_asset_keys)
        models = [model for model in catalogue.models if dg.AssetKey(model.path) in assets]
        built = build_models(installation, sources, target, models, context.log)
        yield from _events(built, catalogue, assets, set(context.selected_asset_check_keys))
        if built.failed_models:
            raise ModelsFailedError(built.failed_models, target.log)

    return dg.Definitions(
        assets=[dbt_models, *map(_exposure_spec, catalogue.exposures)],
        sensors=[build_derived_sensor(sources, catalogue)],
    )
