"""One build of dbt models: pin and bind what is behind them, leave out what is held, build, publish."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dms_assets.curation.dbt_run import BuildResult, DbtTarget, NodeResult, build
from dms_assets.curation.generate import RelationKind
from dms_assets.installation import Installation
from dms_assets.model.failpoints import reach
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.dbt.catalogue import CatalogueModel
from dms_assets.pipeline.dbt.warehouse_step import WarehouseStep


@dataclass(frozen=True)
class Built:
    """What became of a build: dbt's results, row counts by relation, and the instant each derived model is of."""

    results: tuple[BuildResult, ...]
    rows: Mapping[str, int]
    complete_to: Mapping[str, datetime]

    @property
    def nodes(self) -> Iterator[NodeResult]:
        """Every node of every dbt call."""
        for result in self.results:
            yield from result.nodes

    @property
    def failed_models(self) -> list[NodeResult]:
        """The models that went wrong."""
        return [node for node in self.nodes if node.failed and node.resource_type == "model"]


def build_models(
    installation: Installation,
    sources: Sequence[SourceSpec],
    target: DbtTarget,
    models: Collection[CatalogueModel],
    log: logging.Logger,
) -> Built:
    """Build some models and publish the read copy. Curated models of tables that are held stay as they are.

    Raises what WarehouseStep raises, and its pinning, binding and publishing, and DbtFailedError if dbt itself fails;
    a model that fails is in the result.
    """
    step = WarehouseStep(installation, sources)
    behind = {model.unique_id: model.tables for model in models}
    tables = set().union(*behind.values())
    # In this order. Before pinning, since what comes later only adds to what is complete; holds after it, since what
    # a pinned batch's run rejected is in quarantine by then.
    watermarks = step.watermarks(tables)
    pinned = step.pin(tables)
    held = step.held(tables)
    for source, name in sorted(held, key=str):
        log.warning("%s of source %s is held: its curated relations stay as they are", name, source)
    chosen = [model for model in models if not (model.curated and behind[model.unique_id] & held)]
    versions = {
        model.unique_id: table
        for model in chosen
        if model.relation == RelationKind.VERSIONS
        for table in behind[model.unique_id]
    }
    free = {table: pinned[table] for table in tables - held}
    reach("build.before_binding")
    refresh = step.bind(free, datetime.now(UTC), watermarks, set(versions.values()))
    reach("build.after_binding")
    again = [model for model in chosen if behind[model.unique_id] & refresh]
    results = []
    for part, full_refresh in ((again, True), ([model for model in chosen if model not in again], False)):
        if part:
            step.check_latest()
            results.append(build(target, sorted(model.name for model in part), full_refresh=full_refresh))
            reach("build.between_calls")
    done = {node.unique_id for result in results for node in result.nodes if node.status == "success"}
    reach("build.after_dbt")
    step.confirm({table for unique_id, table in versions.items() if unique_id in done})
    reach("build.before_publishing")
    step.publish()
    rows = step.count(
        node.relation_name
        for result in results
        for node in result.nodes
        if node.unique_id in done and node.relation_name
    )
    covered = step.covered()
    instants = {
        model.unique_id: min(covered[table].complete_to for table in behind[model.unique_id])
        for model in chosen
        if not model.curated and model.unique_id in done and behind[model.unique_id] <= covered.keys()
    }
    return Built(tuple(results), rows, instants)
