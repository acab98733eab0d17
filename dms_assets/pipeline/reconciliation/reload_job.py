"""The job that loads tables again: launched by hand, with a reason; never part of «materialise all»."""

from collections.abc import Iterator
from urllib.parse import quote

import dagster as dg
import yaml
from pydantic import Field

from dms_assets.installation import Installation
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.reconciliation.reload import Reload, carry_out, plan_reload
from dms_assets.pipeline.resources import DmsResource

LOCATION = "dms_assets"
"""The name of the code location, which is part of its pages' addresses."""


class ReloadConfig(dg.Config):
    """What to load again, and why."""

    tables: list[str] = Field(description="Tables to load again: their names, with or without the schema.")
    reason: str = Field(description="Why. It is kept with the request, and shown on the landing assets.")
    fresh_stream: bool = Field(
        default=False,
        description="Begin a new stream, which loads every table: after a gap in the stream. Name no tables then.",
    )


def reload_observations(source: str, reload: Reload) -> Iterator[dg.AssetObservation]:
    """One on each landing asset: who asked for the load, and why."""
    for name in reload.tables:
        yield dg.AssetObservation(
            table_key(source, Layer.LANDING, name),
            description=f"a reload was asked for: {reload.reason}",
            metadata={"reason": reload.reason, "asked by": reload.by, "new stream": reload.fresh_stream},
        )


def reload_job_name(source: str) -> str:
    """The job's name."""
    return f"{source}_reload"


def reload_page(source: str, name: TableName) -> str:
    """The address (root-relative) of the job's launchpad with the table filled in; the reason is left to write."""
    config = {"ops": {_op_name(source): {"config": {"tables": [name.table], "reason": "", "fresh_stream": False}}}}
    text = yaml.safe_dump(config, sort_keys=False)
    return f"/locations/{LOCATION}/jobs/{reload_job_name(source)}/playground/setup?config={quote(text, safe='')}"


def _op_name(source: str) -> str:
    return f"{source}_reload_tables"


def build_reload_job(spec: SourceSpec) -> dg.JobDefinition:
    """A job of one op, which has DMS load tables again; the sensors see to the rest."""

    @dg.op(name=_op_name(spec.name), description="Has DMS load tables again, and keeps who asked and why.")
    def reload_tables(
        context: dg.OpExecutionContext,
        config: ReloadConfig,
        installation: dg.ResourceParam[Installation],
        dms: DmsResource,
    ) -> None:
        by = f"Dagster run {context.run_id}"
        reload = plan_reload(spec, config.tables, config.reason, by, fresh_stream=config.fresh_stream)
        carry_out(installation, spec, dms.client(), reload, say=context.log.info)
        for observation in reload_observations(spec.name, reload):
            context.log_event(observation)

    @dg.job(
        name=reload_job_name(spec.name),
        description=(
            f"Loads tables of {spec.name} again, inside the running stream: the remedy for a table that differs from "
            "its source (TRUNCATE, a rewrite by DDL). Name the tables and give a reason."
        ),
        config=dg.RunConfig(ops={_op_name(spec.name): ReloadConfig(tables=[spec.table_names[0].table], reason="")}),
    )
    def reload_job() -> None:
        reload_tables()

    return reload_job
