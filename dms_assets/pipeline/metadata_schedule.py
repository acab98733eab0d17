"""The declared schedule of a source's metadata: read again at set times, whatever the source sensor saw."""

import dagster as dg

from dms_assets.model.names import Layer
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.keys import group


def build_metadata_schedules(spec: SourceSpec) -> list[dg.ScheduleDefinition]:
    """One schedule (UTC) if the source declares `schedule.metadata`, else none."""
    if spec.schedule.metadata is None:
        return []
    return [
        dg.ScheduleDefinition(
            name=f"{spec.name}_metadata_schedule",
            target=dg.AssetSelection.groups(group(spec.name, Layer.METADATA)),
            cron_schedule=spec.schedule.metadata,
            execution_timezone="UTC",
            description=f"Reads the catalogue of {spec.name} again.",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
    ]
