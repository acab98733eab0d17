"""The source sensor: watches the catalogue of a source and reports the tables whose shape is new."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from dms_assets.installation import Installation
from dms_assets.metadata.reflect_postgres import ExclusionError, Reflection, apply_exclusions, reflect
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.sensors.pending_work import pause
from dms_assets.pipeline.table_metadata import column_schema
from dms_assets.reconcile.postgres_columns import HiddenRowsError

PRESENT_CHECK = "present"
_HIDDEN = ", rows hidden"
_ABOUT = "The declared table is in the source, and shows the platform's user all its rows."
CURSOR_FORMAT = 1


def present_result(spec: SourceSpec, name: TableName, reflection: Reflection) -> dict[str, Any]:
    """What the check `present` says of a table, for an evaluation or a result."""
    remedy = None
    if name not in reflection.tables:
        remedy = f"no table {name} in the source; correct defs.yaml, create the table, or grant SELECT on it"
    elif name in reflection.hidden:
        remedy = str(HiddenRowsError(name))
    return {
        "asset_key": table_key(spec.name, Layer.SOURCE, name),
        "check_name": PRESENT_CHECK,
        "passed": remedy is None,
        "metadata": {} if remedy is None else {"remedy": remedy},
    }


@dataclass(frozen=True, slots=True)
class Reported:
    """The last report of a table: of which state of its catalogue entry, when, and how often.

    `version` is that of its metadata, '' for none, and more where row security hides rows.
    """

    version: str
    at: datetime
    times: int


def reports_due(
    found: Mapping[TableName, TableMetadata],
    stored: Mapping[TableName, str],
    wanted: Mapping[TableName, str],
    before: Mapping[TableName, Reported],
    now: datetime,
    *,
    hidden: Collection[TableName] = (),
) -> dict[TableName, Reported]:
    """The tables to report now, with what to remember of it. Pure.

    `found` is what the source has of the tables in `wanted`, and hides rows of those in `hidden`; `wanted` is the
    version that is to be stored of each ('' for a table that is not there) and `stored` the one that is. A table whose
    entry changed is reported at once; one that was reported and is still not stored is reported again, with growing
    pauses: the run that was to store it failed.
    """
    due = {}
    for name, version in wanted.items():
        seen = (found[name].version if name in found else "") + (_HIDDEN if name in hidden else "")
        last = before.get(name)
        if last is None or last.version != seen:
            due[name] = Reported(seen, now, 1)
        # A run takes longer to start and end than the first pause after a failed request for work.
        elif seen and stored.get(name) != version and now - last.at >= pause(last.times + 1):
            due[name] = Reported(seen, now, last.times + 1)
    return due


def _wanted(spec: SourceSpec, found: TableMetadata | None) -> str:
    """The version that a run would store; one that no store holds, if the declaration keeps it from storing any."""
    if found is None:
        return ""
    try:
        return apply_exclusions(found, spec).version
    except ExclusionError as error:
        # The run says so, with the remedy, and turns red.
        return str(error)


def _events(
    spec: SourceSpec, reflection: Reflection, due: Collection[TableName]
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    for name in due:
        metadata = reflection.tables.get(name)
        yield dg.AssetCheckEvaluation(**present_result(spec, name, reflection))
        if metadata is not None:
            yield dg.AssetMaterialization(
                table_key(spec.name, Layer.SOURCE, name),
                description="the catalogue describes the table anew",
                metadata={"dagster/column_schema": column_schema(metadata, source_types=True)},
                tags={"dagster/data_version": metadata.version},
            )


def _read_cursor(cursor: str | None) -> dict[TableName, Reported]:
    """What was reported; nothing if the cursor is another release's, so that everything is reported anew."""
    data = json.loads(cursor) if cursor else {}
    if data.get("v") != CURSOR_FORMAT:
        return {}
    return {
        TableName.parse(name): Reported(version, datetime.fromisoformat(at), times)
        for name, (version, at, times) in data["tables"].items()
    }


def _write_cursor(reported: Mapping[TableName, Reported]) -> str:
    rows = {str(name): [item.version, item.at.isoformat(), item.times] for name, item in reported.items()}
    return json.dumps({"v": CURSOR_FORMAT, "tables": rows})


def build_source_sensor(spec: SourceSpec) -> dg.SensorDefinition:
    """A sensor that reports, without a run, each source table whose catalogue entry changed since the last tick.

    The metadata assets follow by their automation condition. The cursor holds the last report of each table.
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
        found = reflection.tables
        stored = {name: metadata.version for name, metadata in installation.known_metadata(spec).items()}
        wanted = {name: _wanted(spec, found.get(name)) for name in spec.table_names}
        reported = _read_cursor(context.cursor)
        due = reports_due(found, stored, wanted, reported, datetime.now(UTC), hidden=reflection.hidden)
        if not due:
            return dg.SkipReason("no table of the source changed its shape")
        kept = {name: item for name, item in reported.items() if name in wanted}
        return dg.SensorResult(asset_events=list(_events(spec, reflection, due)), cursor=_write_cursor({**kept, **due}))

    return source_sensor


def build_present_checks(spec: SourceSpec, specs: list[dg.AssetSpec]) -> dg.AssetChecksDefinition:
    """The check that every declared table is there; evaluated by the sensor, and on demand."""

    @dg.multi_asset_check(
        name=f"{spec.name}_tables_present",
        specs=[dg.AssetCheckSpec(PRESENT_CHECK, asset=asset.key, description=_ABOUT) for asset in specs],
    )
    def present(installation: dg.ResourceParam[Installation]) -> Any:
        with installation.source_connection(spec) as connection:
            reflection = reflect(connection, spec.database_schema, [name.table for name in spec.table_names])
        for name in spec.table_names:
            yield dg.AssetCheckResult(**present_result(spec, name, reflection))

    return present
