"""The declared schedule of metadata."""

from datetime import UTC, datetime

import dagster as dg

from dms_assets.pipeline.metadata_schedule import build_metadata_schedules
from dms_assets.sources import find_source


def test_a_declared_schedule_reads_all_metadata_of_the_source_at_its_time() -> None:
    spec = find_source("probation")
    (schedule,) = build_metadata_schedules(spec)
    assert schedule.cron_schedule == spec.schedule.metadata
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 1, 1, 6, tzinfo=UTC))
    metadata = dg.AssetSpec(["probation", "metadata", "probation", "offender"], group_name="probation_metadata")

    @dg.multi_asset(specs=[metadata])
    def made() -> None: ...

    repository = dg.Definitions(assets=[made], schedules=[schedule]).get_repository_def()
    job = repository.get_job(schedule.job_name)
    assert metadata.key in job.asset_layer.executable_asset_keys
    assert schedule.evaluate_tick(context).run_requests


def test_without_one_there_is_none() -> None:
    spec = find_source("probation")
    silent = spec.model_copy(update={"schedule": spec.schedule.model_copy(update={"metadata": None})})
    assert build_metadata_schedules(silent) == []
