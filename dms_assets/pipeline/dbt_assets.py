"""The dbt project as assets: every model an asset, every test a check, built in the run's own process."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets

from dms_assets.curation.dbt_run import BuildResult, DbtTarget, NodeResult, build, ensure_manifest
from dms_assets.curation.generate import HISTORY
from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.model.names import Layer
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.automation import curation_condition
from dms_assets.pipeline.keys import group
from dms_assets.pipeline.warehouse_step import WarehouseStep, is_curated, tables_behind

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent / "dbt_project"
WAREHOUSE_POOL = "warehouse"
"""One process at a time may open the DuckDB file."""


def dbt_target(environment: Environment) -> DbtTarget:
    """The project, and where this stack keeps what dbt makes of it."""
    return DbtTarget(PROJECT_DIR, environment.dbt_target_dir, environment.warehouse_file)


class CurationTranslator(DagsterDbtTranslator):
    """Keys and groups come from the models' meta; this adds owners and automation."""

    def __init__(self, sources: Sequence[SourceSpec]) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_source_tests_as_checks=False))
        self._owners = {spec.name: spec.owner for spec in sources}
        self._groups = [group(spec.name, Layer.VALIDATED) for spec in sources]

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """The spec dagster-dbt makes, with owner and automation condition."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        if unique_id.startswith("source."):
            return spec
        owner = self._owners.get(spec.key.path[0])
        return spec.replace_attributes(
            automation_condition=curation_condition(self._groups),
            owners=[owner] if owner else spec.owners,
        )


class ModelsFailedError(RuntimeError):
    """Some models could not be built; the others were."""

    def __init__(self, nodes: Sequence[NodeResult], log: Path) -> None:
        told = "; ".join(f"{node.unique_id}: {node.message}" for node in nodes)
        super().__init__(f"{len(nodes)} models failed, all others were built: {told}. The SQL is in {log}")


def _key(manifest: Mapping[str, Any], unique_id: str, translator: CurationTranslator) -> dg.AssetKey:
    return translator.get_asset_spec(manifest, unique_id, None).key


def _materialization(node: NodeResult, key: dg.AssetKey, rows: int | None) -> dg.MaterializeResult[None]:
    metadata: dict[str, Any] = {"relation": node.relation_name or "", "seconds": round(node.execution_time, 3)}
    if rows is not None:
        metadata["dagster/row_count"] = rows
    return dg.MaterializeResult(asset_key=key, metadata=metadata)


def _check(
    node: NodeResult, manifest: Mapping[str, Any], translator: CurationTranslator, selected: set[dg.AssetCheckKey]
) -> dg.AssetCheckResult | None:
    attached = manifest["nodes"][node.unique_id].get("attached_node")
    if attached is None:
        return None
    asset = translator.get_asset_spec(manifest, attached, None)
    spec = translator.get_asset_check_spec(asset, manifest, node.unique_id, None)
    if spec is None or spec.key not in selected:
        return None
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=node.status == "pass",
        severity=dg.AssetCheckSeverity.WARN if node.status == "warn" else dg.AssetCheckSeverity.ERROR,
        metadata={"status": node.status, "failing rows": node.failures or 0, "message": node.message or ""},
    )


def _events(
    result: BuildResult,
    manifest: Mapping[str, Any],
    translator: CurationTranslator,
    selected: tuple[set[dg.AssetKey], set[dg.AssetCheckKey]],
    counts: Mapping[str, int],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Materialisations first: a check is about what was just built."""
    for node in result.nodes:
        if node.resource_type == "model" and node.status == "success":
            key = _key(manifest, node.unique_id, translator)
            if key in selected[0]:
                yield _materialization(node, key, counts.get(node.relation_name or ""))
    for node in result.nodes:
        if node.resource_type == "test" and node.status != "skipped":
            check = _check(node, manifest, translator, selected[1])
            if check is not None:
                yield check


def build_dbt_definitions(sources: Sequence[SourceSpec], environment: Environment) -> dg.Definitions:
    """Assets of all models. Reads the manifest, which a stack parses before it starts; parses only if there is none."""
    target = dbt_target(environment)
    if not target.manifest.is_file():
        ensure_manifest(target)
    manifest = json.loads(target.manifest.read_text(encoding="utf-8"))
    translator = CurationTranslator(sources)

    @dbt_assets(
        manifest=manifest,
        name="dbt_models",
        dagster_dbt_translator=translator,
        pool=WAREHOUSE_POOL,
        # A full disk or a busy file passes; what was asked for is not asked for again.
        retry_policy=dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL),
    )
    def dbt_models(
        context: dg.AssetExecutionContext, installation: dg.ResourceParam[Installation]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        models = {
            node["unique_id"]: node
            for node in manifest["nodes"].values()
            if node["resource_type"] == "model"
            and _key(manifest, node["unique_id"], translator) in context.selected_asset_keys
        }
        step = WarehouseStep(installation, sources)
        behind = {unique_id: tables_behind(manifest, [unique_id]) for unique_id in models}
        tables = set().union(*behind.values())
        pinned = step.pin(tables)
        # After pinning: what a pinned batch's run rejected is in quarantine by now.
        held = step.held(tables)
        for source, name in sorted(held, key=str):
            context.log.warning("%s of source %s is held: its curated relations stay as they are", name, source)
        building = {
            unique_id for unique_id, node in models.items() if not (is_curated(node) and behind[unique_id] & held)
        }
        refresh = step.bind({table: pinned[table] for table in tables - held}, datetime.now(UTC))
        again = {unique_id for unique_id in building if behind[unique_id] & refresh}
        results = []
        for chosen, full_refresh in ((again, True), (building - again, False)):
            if chosen:
                names = sorted(models[unique_id]["name"] for unique_id in chosen)
                results.append(build(target, names, full_refresh=full_refresh))
        step.publish()
        # Not the histories: counting one costs as much as reading it whole.
        countable = {unique_id for unique_id, node in models.items() if not node["name"].endswith(HISTORY)}
        nodes = [node for result in results for node in result.nodes if node.unique_id in countable]
        counts = step.count(node.relation_name for node in nodes if node.relation_name)
        selected = (set(context.selected_asset_keys), set(context.selected_asset_check_keys))
        for result in results:
            yield from _events(result, manifest, translator, selected, counts)
        broken = [node for result in results for node in result.failed if node.resource_type == "model"]
        if broken:
            raise ModelsFailedError(broken, target.log)

    return dg.Definitions(assets=[dbt_models])
