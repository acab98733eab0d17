"""The code location: every declared source, the dbt project, automation and resources.

A `defs.yaml` that cannot be used becomes one asset that says why, and takes no other source down.
"""

import logging
from pathlib import Path

import dagster as dg

from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.model.names import Layer
from dms_assets.pipeline.automation import build_automation_sensors
from dms_assets.pipeline.component import DmsSource
from dms_assets.pipeline.dbt_assets import build_dbt_definitions
from dms_assets.pipeline.keys import group
from dms_assets.pipeline.resources import DmsResource, InstallationResource
from dms_assets.sources import InvalidSourceError, read_sources

_LOG = logging.getLogger(__name__)


def _invalid(file: Path, error: InvalidSourceError) -> dg.Definitions:
    name = file.parent.name
    _LOG.error("source '%s' is not loaded:\n%s", name, error)
    told = "\n".join(f"- {problem}" for problem in error.problems)
    return dg.Definitions(
        assets=[
            dg.AssetSpec(
                dg.AssetKey([name, "invalid_declaration"]),
                group_name=group(name, Layer.SOURCE),
                description=f"This source is not loaded; its declaration has mistakes:\n\n{told}",
            )
        ]
    )


@dg.definitions
def defs() -> dg.Definitions:
    """All definitions of this code location."""
    environment = Environment()
    good, bad = read_sources()
    # Not through Dagster's component tree: it reads all files at once, and one bad file would take all sources down.
    parts = [DmsSource(spec).definitions(Installation(environment)) for spec in good.values()]
    parts += [_invalid(file, error) for file, error in bad.items()]
    shared = dg.Definitions(
        # Starting a process is what costs; concurrency comes from runs.
        executor=dg.in_process_executor,
        sensors=build_automation_sensors(),
        resources={"installation": InstallationResource(), "dms": DmsResource(region_name=environment.region)},
    )
    return dg.Definitions.merge(*parts, build_dbt_definitions(list(good.values()), environment), shared)
