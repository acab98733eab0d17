"""The code location: every declared source, the dbt project, automation and resources.

A `defs.yaml` that cannot be used becomes one asset that says why, and takes no other source down.
"""

import logging
from pathlib import Path

import dagster as dg

from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.model.names import Layer
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.alerting.sensor import build_alert_sensor
from dms_assets.pipeline.alerting.silence import INVALID_DECLARATION
from dms_assets.pipeline.automation import build_automation_sensors
from dms_assets.pipeline.component import DmsSource
from dms_assets.pipeline.dbt.assets import build_dbt_definitions
from dms_assets.pipeline.keys import group
from dms_assets.pipeline.resources import DmsResource, InstallationResource
from dms_assets.pipeline.retention.job import build_retention_job, build_retention_schedule
from dms_assets.sources import InvalidSourceError, check_problems, read_sources

_LOG = logging.getLogger(__name__)
UNFIT_CHECKS = "unfit_checks"
"""The asset that tells of declared checks that do not fit."""


def _invalid(file: Path, error: InvalidSourceError) -> dg.Definitions:
    name = file.parent.name
    _LOG.error("source '%s' is not loaded:\n%s", name, error)
    told = "\n".join(f"- {problem}" for problem in error.problems)
    return dg.Definitions(
        assets=[
            dg.AssetSpec(
                dg.AssetKey([name, INVALID_DECLARATION]),
                group_name=group(name, Layer.SOURCE),
                description=f"This source is not loaded; its declaration has mistakes:\n\n{told}",
            )
        ]
    )


def _misfits(file: Path, spec: SourceSpec, installation: Installation) -> dg.Definitions:
    """Declared checks that do not fit their tables stop these tables only, and are told here."""
    problems = check_problems(file, spec, installation.known_metadata(spec))
    if not problems:
        return dg.Definitions()
    told = "\n".join(f"- {problem}" for problem in problems)
    _LOG.error("declared checks of source '%s' do not fit its tables:\n%s", spec.name, told)
    return dg.Definitions(
        assets=[
            dg.AssetSpec(
                dg.AssetKey([spec.name, UNFIT_CHECKS]),
                group_name=group(spec.name, Layer.SOURCE),
                owners=[spec.owner],
                description="Declared checks do not fit their tables. Files of these tables wait in landing until the "
                f"declaration is corrected:\n\n{told}",
            )
        ]
    )


@dg.definitions
def defs() -> dg.Definitions:
    """All definitions of this code location."""
    environment = Environment()
    good, bad = read_sources()
    # Not through Dagster's component tree: it reads all files at once, and one bad file would take all sources down.
    installation = Installation(environment)
    parts = [DmsSource(spec).definitions(installation) for spec in good.values()]
    parts += [_misfits(file, spec, installation) for file, spec in good.items()]
    parts += [_invalid(file, error) for file, error in bad.items()]
    retention = build_retention_job(list(good.values()))
    shared = dg.Definitions(
        # Starting a process is what costs; concurrency comes from runs.
        executor=dg.in_process_executor,
        sensors=[*build_automation_sensors(), build_alert_sensor(list(good.values()))],
        jobs=[retention],
        schedules=[build_retention_schedule(retention)],
        resources={"installation": InstallationResource(), "dms": DmsResource(region_name=environment.region)},
    )
    return dg.Definitions.merge(*parts, build_dbt_definitions(list(good.values()), environment), shared)
