"""The DmsSource component: a `defs.yaml` becomes the assets, checks and sensors of one source."""

from typing import Any

import dagster as dg
from pydantic import BaseModel

from dms_assets.installation import Installation
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.checks.blocking import build_blocking_checks
from dms_assets.pipeline.checks.dms_statistics_checks import build_statistics_checks, build_statistics_sensor
from dms_assets.pipeline.checks.freshness_checks import build_freshness_checks, build_freshness_sensor
from dms_assets.pipeline.checks.freshness_policy import with_metadata_freshness
from dms_assets.pipeline.metadata_assets import build_metadata_assets
from dms_assets.pipeline.metadata_schedule import build_metadata_schedules
from dms_assets.pipeline.reconciliation.checks import build_reconciliation
from dms_assets.pipeline.reconciliation.reload_job import build_reload_job
from dms_assets.pipeline.sensors.dms import build_capture_checks, build_dms_sensor
from dms_assets.pipeline.sensors.landing import build_landing_sensor
from dms_assets.pipeline.sensors.landing_folder import build_folder_checks, build_folder_spec
from dms_assets.pipeline.sensors.source import build_present_checks, build_source_sensor
from dms_assets.pipeline.specs import build_specs
from dms_assets.pipeline.validated_assets import build_validated_assets


class DmsSource(dg.Component):
    """A source database that DMS extracts. The attributes are those of `SourceSpec`."""

    def __init__(self, spec: SourceSpec) -> None:
        self.spec = spec

    @classmethod
    def get_model_cls(cls) -> type[BaseModel] | None:
        """The attributes' model."""
        return SourceSpec

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "DmsSource":  # noqa: ARG003 Dagster passes it
        """The component of validated attributes."""
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002 Dagster passes it
        """Everything of this source but the dbt models, which are one project for all."""
        return self.definitions(Installation())

    def definitions(self, installation: Installation) -> dg.Definitions:
        """Assets, checks and sensors of the source. Reads the last known metadata; calls no database."""
        spec = self.spec
        specs = build_specs(spec, installation.known_metadata(spec), installation.landing.uri)
        own = dg.Definitions(
            assets=[
                *specs.source,
                *specs.landing,
                build_folder_spec(spec, installation.landing.uri),
                build_metadata_assets(spec, with_metadata_freshness(spec, specs.metadata)),
                build_validated_assets(spec, specs.validated),
            ],
            asset_checks=[
                build_present_checks(spec, specs.source),
                build_capture_checks(spec, specs.landing),
                build_folder_checks(spec),
                build_blocking_checks(spec, specs.validated),
                build_freshness_checks(spec),
                build_statistics_checks(spec),
            ],
            jobs=[build_reload_job(spec)],
            schedules=build_metadata_schedules(spec),
            sensors=[
                build_source_sensor(spec),
                build_dms_sensor(spec),
                build_landing_sensor(spec),
                build_freshness_sensor(spec),
                build_statistics_sensor(spec),
            ],
        )
        return dg.Definitions.merge(own, build_reconciliation(spec))
