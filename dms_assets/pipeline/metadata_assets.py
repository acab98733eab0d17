"""The metadata assets: reflect the source's catalogue and store a version where it changed."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from dms_assets.installation import Installation
from dms_assets.metadata.column_names import ColumnNamesError
from dms_assets.metadata.drift import Change, Drift, compare, worst
from dms_assets.metadata.reflect_postgres import ExclusionError, apply_exclusions, reflect
from dms_assets.metadata.version_store import DamagedVersionError, StoredVersion, VersionStore
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.pipeline.keys import table_key, table_of
from dms_assets.pipeline.table_metadata import column_lineage, column_schema

DRIFT_CHECK = "drift"


class MissingTableError(LookupError):
    """Declared tables that the source does not have, or does not show to the platform's user."""

    def __init__(self, source: str, missing: list[TableName]) -> None:
        names = ", ".join(str(name) for name in missing)
        super().__init__(
            f"source '{source}' has no table {names}; correct the table list in its defs.yaml, create the table, "
            "or grant SELECT on it to the platform's user. All other tables are up to date"
        )


class RefusedTablesError(ValueError):
    """Tables that keep their last metadata, each with its reason. One text: reports leave out members of a group."""

    def __init__(self, source: str, reasons: list[Exception]) -> None:
        told = "\n".join(f"- {reason}" for reason in reasons)
        super().__init__(f"source '{source}': these tables keep their last metadata, others are new:\n{told}")


def _result(spec: SourceSpec, stored: StoredVersion, changes: list[Change]) -> dg.MaterializeResult[None]:
    metadata = stored.metadata
    key = table_key(spec.name, Layer.METADATA, metadata.name)
    source = table_key(spec.name, Layer.SOURCE, metadata.name)
    drift = worst(changes)
    told = "\n".join(f"- {change.text}" for change in changes) or "nothing changed"
    return dg.MaterializeResult(
        asset_key=key,
        data_version=dg.DataVersion(metadata.version),
        metadata={
            "dagster/column_schema": column_schema(metadata),
            "dagster/column_lineage": column_lineage(metadata, source),
            "version": metadata.version,
            "ordinal": stored.ordinal,
            "drift": drift.name.lower(),
            "changes": dg.MetadataValue.md(told),
        },
        check_results=[
            dg.AssetCheckResult(
                asset_key=key,
                check_name=DRIFT_CHECK,
                passed=drift is not Drift.BREAKING,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"drift": drift.name.lower(), "changes": dg.MetadataValue.md(told)},
            )
        ],
    )


def _record(spec: SourceSpec, store: VersionStore, metadata: TableMetadata) -> dg.MaterializeResult[None]:
    stored, before = store.record(apply_exclusions(metadata, spec), datetime.now(UTC))
    return _result(spec, stored, compare(before.metadata if before else None, stored.metadata))


def build_metadata_assets(spec: SourceSpec, specs: list[dg.AssetSpec]) -> dg.AssetsDefinition:
    """One op for the metadata of all tables of a source: one connection and one snapshot of the catalogue."""

    @dg.multi_asset(
        name=f"{spec.name}_metadata",
        specs=specs,
        can_subset=True,
        check_specs=[
            dg.AssetCheckSpec(
                DRIFT_CHECK, asset=asset.key, description="The table's shape did not change in a way that breaks files."
            )
            for asset in specs
        ],
    )
    def metadata(
        context: dg.AssetExecutionContext, installation: dg.ResourceParam[Installation]
    ) -> Iterator[dg.MaterializeResult[None]]:
        wanted = [table_of(key) for key in sorted(context.selected_asset_keys)]
        with installation.source_connection(spec) as connection:
            reflection = reflect(connection, spec.database_schema, [name.table for name in wanted])
        store, refused = installation.versions(spec.name), list[Exception]()
        for found in reflection.tables.values():
            try:
                yield _record(spec, store, found)
            except (ColumnNamesError, ExclusionError, DamagedVersionError) as error:
                refused.append(error)
        missing = MissingTableError(spec.name, list(reflection.missing)) if reflection.missing else None
        if refused:
            raise RefusedTablesError(spec.name, [*refused, *([missing] if missing else [])])
        if missing:
            raise missing

    return metadata
