"""Asset specs of one source: source, metadata, landing and validated tables, in the order data flows.

The table list comes from the declaration, the columns from the last known metadata: a source that was never reached
still shows all its assets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.pipeline.automation import follow
from dms_assets.pipeline.keys import group, table_key
from dms_assets.pipeline.table_metadata import described_columns


@dataclass(frozen=True, slots=True)
class SourceSpecs:
    """The specs of one source by layer, each in the order of the declaration."""

    source: list[dg.AssetSpec]
    metadata: list[dg.AssetSpec]
    landing: list[dg.AssetSpec]
    validated: list[dg.AssetSpec]


def _about(name: TableName, known: Mapping[TableName, TableMetadata]) -> str:
    metadata = known.get(name)
    return metadata.comment if metadata and metadata.comment else f"Table {name}"


def _spec(
    spec: SourceSpec,
    layer: Layer,
    name: TableName,
    *,
    deps: list[dg.AssetKey],
    kinds: set[str],
    description: str,
    metadata: dict[str, Any],
    automation_condition: dg.AutomationCondition[Any] | None = None,
) -> dg.AssetSpec:
    return dg.AssetSpec(
        table_key(spec.name, layer, name),
        deps=deps,
        group_name=group(spec.name, layer),
        kinds=kinds,
        owners=[spec.owner],
        description=description,
        metadata=metadata,
        automation_condition=automation_condition,
    )


def _columns(spec: SourceSpec, layer: Layer, metadata: TableMetadata | None) -> dict[str, Any]:
    return described_columns(spec, layer, metadata) if metadata else {}


def build_specs(spec: SourceSpec, known: Mapping[TableName, TableMetadata], landing_uri: str) -> SourceSpecs:
    """All specs of a source; `known` is the last metadata of its tables, as far as there is any."""
    specs = SourceSpecs([], [], [], [])
    for name in spec.table_names:
        about, metadata = _about(name, known), known.get(name)
        source, landing = table_key(spec.name, Layer.SOURCE, name), table_key(spec.name, Layer.LANDING, name)
        described = table_key(spec.name, Layer.METADATA, name)
        specs.source.append(
            _spec(
                spec,
                Layer.SOURCE,
                name,
                deps=[],
                kinds={spec.engine.value},
                description=f"{about}\n\nThe table in the source database; observed, never written.",
                metadata={"dagster/table_name": str(name), **_columns(spec, Layer.SOURCE, metadata)},
            )
        )
        specs.metadata.append(
            _spec(
                spec,
                Layer.METADATA,
                name,
                deps=[source],
                kinds={spec.engine.value, "json"},
                description=f"{about}\n\nWhat the source's catalogue says of the table, in immutable versions.",
                metadata=_columns(spec, Layer.METADATA, metadata),
                # The source sensor reports a new data version when the catalogue's answer changes.
                automation_condition=follow(),
            )
        )
        specs.landing.append(
            _spec(
                spec,
                Layer.LANDING,
                name,
                deps=[source],
                kinds={"dms", "s3"},
                description=f"{about}\n\nFiles that DMS wrote and the platform has not taken yet. Written by DMS only.",
                metadata={
                    "dagster/uri": f"{landing_uri}/{spec.folder}/{name.schema}/{name.table}/",
                    **_columns(spec, Layer.LANDING, metadata),
                },
            )
        )
        specs.validated.append(
            _spec(
                spec,
                Layer.VALIDATED,
                name,
                deps=[landing, described],
                kinds={"pandera", "iceberg"},
                description=f"{about}\n\nThe change log: every accepted file exactly once.",
                metadata=_columns(spec, Layer.VALIDATED, metadata),
            )
        )
    return specs
