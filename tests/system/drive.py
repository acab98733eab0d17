"""Drive the code location without a daemon: its own sensors and conditions, evaluated by hand, runs in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg


@dataclass
class Drive:
    """One code location on one instance. Runs that fail are kept in `failures`, as a daemon would go on."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    cursors: dict[str, Any] = field(default_factory=dict)
    runs: list[dg.ExecuteInProcessResult] = field(default_factory=list)

    @property
    def failures(self) -> list[dg.ExecuteInProcessResult]:
        return [run for run in self.runs if not run.success]

    def tick(self, name: str) -> Any:
        """One tick of a sensor, with its events reported and its runs run."""
        repository = self.definitions.get_repository_def()
        sensor = repository.get_sensor_def(name)
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            repository_def=repository,
            sensor_name=name,
            resources=repository.get_top_level_resources(),
        ) as context:
            tick = sensor.evaluate_tick(context)
        for event in tick.asset_events:
            self.instance.report_runless_asset_event(event)
        self.cursors[name] = tick.cursor
        for request in tick.run_requests or ():
            self.run(request.asset_selection, request.asset_check_keys, {"dagster/sensor_name": name})
        return tick

    def automate(self) -> int:
        """One look at all automation conditions; how many assets it asked for."""
        asked = 0
        dbt = dg.AssetSelection.kind("dbt")
        for name, selection in (("metadata", dg.AssetSelection.all() - dbt), ("curation", dbt)):
            result = dg.evaluate_automation_conditions(
                self.definitions, self.instance, asset_selection=selection, cursor=self.cursors.get(name)
            )
            self.cursors[name] = result.cursor
            keys = [item.key for item in result.results if not item.true_subset.is_empty]
            assets = [key for key in keys if isinstance(key, dg.AssetKey)]
            asked += len(assets)
            if assets:
                self.run(assets, self._riding(assets), {"dagster/from_automation_condition": "true"})
        return asked

    def _riding(self, assets: list[dg.AssetKey]) -> list[dg.AssetCheckKey]:
        """The checks that a daemon lets ride along: all but those with a condition of their own."""
        graph = self.definitions.resolve_asset_graph()
        keys = graph.get_check_keys_for_assets(set(assets))
        return [key for key in keys if graph.get(key).automation_condition is None]

    def run(
        self, assets: Sequence[dg.AssetKey] | None, checks: Sequence[dg.AssetCheckKey] | None, tags: dict[str, str]
    ) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        subset = job.get_subset(
            asset_selection=set(assets or ()), asset_check_selection=None if checks is None else set(checks)
        )
        result = subset.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags)
        self.runs.append(result)
        return result

    def settle(self, source: str, rounds: int = 3) -> None:
        """Ticks and looks until a whole round asks for nothing, `rounds` times at most."""
        for _ in range(rounds):
            before = len(self.runs)
            for sensor in ("source", "dms", "landing"):
                self.tick(f"{source}_{sensor}_sensor")
            self.automate()
            if len(self.runs) == before:
                return
