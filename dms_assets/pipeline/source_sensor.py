"""The source sensor: watches the catalogue of a source and reports the tables whose shape is new."""

import json
from typing import Any

import dagster as dg

from dms_assets.installation import Installation
from dms_assets.metadata.reflect_postgres import Reflection, reflect
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.table_metadata import column_schema

PRESENT_CHECK = "present"


def present_result(spec: SourceSpec, name: TableName, *, present: bool) -> dict[str, Any]:
    """What the check `present` says of a table, for an evaluation or a result."""
    remedy = f"no table {name} in the source; correct defs.yaml, create the table, or grant SELECT on it"
    return {
        "asset_key": table_key(spec.name, Layer.SOURCE, name),
        "check_name": PRESENT_CHECK,
        "passed": present,
        "metadata": {} if present else {"remedy": remedy},
    }


def _events(
    spec: SourceSpec, reflection: Reflection, seen: dict[str, str]
) -> tuple[list[dg.AssetMaterialization | dg.AssetCheckEvaluation], dict[str, str]]:
    events: list[dg.AssetMaterialization | dg.AssetCheckEvaluation] = []
    now: dict[str, str] = {}
    for name in spec.table_names:
        metadata = reflection.tables.get(name)
        now[str(name)] = metadata.version if metadata else ""
        if seen.get(str(name)) == now[str(name)]:
            continue
        events.append(dg.AssetCheckEvaluation(**present_result(spec, name, present=metadata is not None)))
        if metadata is not None:
            events.append(
                dg.AssetMaterialization(
                    table_key(spec.name, Layer.SOURCE, name),
                    description="the catalogue describes the table anew",
                    metadata={"dagster/column_schema": column_schema(metadata, source_types=True)},
                    tags={"dagster/data_version": metadata.version},
                )
            )
    return events, now


def build_source_sensor(spec: SourceSpec) -> dg.SensorDefinition:
    """A sensor that reports, without a run, each source table whose catalogue entry changed since the last tick.

    The metadata assets follow by their automation condition. The cursor holds the version of each table.
    """

    @dg.sensor(
        name=f"{spec.name}_source_sensor",
        description=f"Watches the catalogue of {spec.name}; a new or changed table is reported.",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def source_sensor(
        context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
    ) -> dg.SensorResult | dg.SkipReason:
        with installation.source_connection(spec) as connection:
            reflection = reflect(connection, spec.database_schema, [name.table for name in spec.table_names])
        seen = json.loads(context.cursor) if context.cursor else {}
        events, now = _events(spec, reflection, seen)
        if not events:
            return dg.SkipReason("no table of the source changed its shape")
        return dg.SensorResult(asset_events=events, cursor=json.dumps(now))

    return source_sensor


def build_present_checks(spec: SourceSpec, specs: list[dg.AssetSpec]) -> dg.AssetChecksDefinition:
    """The check that every declared table is there; evaluated by the sensor, and on demand."""

    @dg.multi_asset_check(
        name=f"{spec.name}_tables_present",
        specs=[
            dg.AssetCheckSpec(PRESENT_CHECK, asset=asset.key, description="The declared table is in the source.")
            for asset in specs
        ],
    )
    def present(installation: dg.ResourceParam[Installation]) -> Any:
        with installation.source_connection(spec) as connection:
            reflection = reflect(connection, spec.database_schema, [name.table for name in spec.table_names])
        for name in spec.table_names:
            yield dg.AssetCheckResult(**present_result(spec, name, present=name in reflection.tables))

    return present
