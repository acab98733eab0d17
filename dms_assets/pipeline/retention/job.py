"""The retention job: keeps a stack that runs for weeks from filling its disk; every hour, and on demand.

Every limit is in `retention_settings`. What is removed is counted in the metadata of the run, kind by kind; a kind
that cannot be removed fails the run after all others were.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import dagster as dg

from dms_assets.installation import Installation
from dms_assets.lake.removed import Removed
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.dbt.assets import WAREHOUSE_POOL
from dms_assets.pipeline.retention.settings import RetentionSettings

Kind = tuple[str, Callable[[], Removed]]
"""What is removed, in words, and what removes it."""

JOB = "retention"
SCHEDULE = "retention_schedule"


class RetentionFailedError(RuntimeError):
    """Some kinds of things could not be removed; all others were."""


def _kinds(
    instance: dg.DagsterInstance,
    installation: Installation,
    sources: Sequence[SourceSpec],
    settings: RetentionSettings,
) -> list[Kind]:
    # What reads and writes tables, and Dagster's own storage: for this job only, while every process loads this file.
    from dms_assets.pipeline.retention.instance import InstanceRetention  # noqa: PLC0415
    from dms_assets.pipeline.retention.lake import LakeRetention  # noqa: PLC0415

    now = datetime.now(UTC)
    return [
        *LakeRetention(installation, sources, settings, now).kinds(),
        *InstanceRetention(instance, settings, now).kinds(),
    ]


def _remove(context: dg.OpExecutionContext, kinds: Sequence[Kind], settings: RetentionSettings) -> None:
    removed: dict[str, Removed] = {}
    failures: list[str] = []
    for kind, remove in kinds:
        try:
            removed[kind] = remove()
        except Exception as error:
            context.log.exception("%s: not removed", kind)
            failures.append(f"{kind}: {type(error).__name__}: {error}")
        else:
            context.log.info("%s: %s, %s bytes", kind, removed[kind].count, removed[kind].size)
    rows = [dg.TableRecord({"kind": kind, "count": r.count, "bytes": r.size}) for kind, r in removed.items()]
    context.add_output_metadata(
        {
            "removed": dg.MetadataValue.table(rows) if rows else "nothing could be removed",
            "bytes": sum(found.size for found in removed.values()),
            "dry run": settings.dry_run,
        }
    )
    if failures:
        raise RetentionFailedError(
            f"{len(failures)} kinds could not be removed, all others were: {'; '.join(failures)}"
        )


def build_retention_job(sources: Sequence[SourceSpec]) -> dg.JobDefinition:
    """The job. It takes the warehouse's pool: no build reads files while it looks which ones are needed."""

    @dg.op(pool=WAREHOUSE_POOL, description="Removes what the stack could do without, kind by kind.")
    def remove_what_is_old(
        context: dg.OpExecutionContext, config: RetentionSettings, installation: dg.ResourceParam[Installation]
    ) -> None:
        _remove(context, _kinds(context.instance, installation, sources, config), config)

    @dg.job(
        name=JOB,
        description="Removes old snapshots, originals, runs and events, so that the disk does not fill.",
        executor_def=dg.in_process_executor,
    )
    def retention() -> None:
        remove_what_is_old()

    return retention


def build_retention_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Every hour: what gathers in between is what the disk must have room for."""
    return dg.ScheduleDefinition(
        name=SCHEDULE,
        job=job,
        cron_schedule="30 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Keeps the stack from filling its disk.",
    )
