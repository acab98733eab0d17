"""Column lineage of every dbt model: exact by construction where it is generated, read from its SQL elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dms_assets.curation.generate import RelationKind
from dms_assets.curation.source_views import COVERED_TABLE, PLATFORM_SCHEMA
from dms_assets.curation.sql_lineage import Relation, sql_lineage
from dms_assets.model.change_columns import BATCH, COMMIT_AT, FILE, FILE_ROW, LOAD_ID, PLATFORM_FIELDS, SEQ

ColumnOf = tuple[str, str]
"""dbt's unique id of a model or source, and one of its columns."""

_COVERED: Relation = (PLATFORM_SCHEMA, COVERED_TABLE)
_COVERED_NOTE = "Set by the platform: follows from the instant up to which every change of the tables read is in."
# What versions add to the columns of the change log, and what they make it from.
_OF_LOG = {
    "_state_seq": SEQ,
    "_state_file": FILE,
    "_state_file_row": FILE_ROW,
    "_follows_load": LOAD_ID,
    "_last_batch": BATCH,
}


@dataclass(frozen=True, slots=True)
class ModelColumn:
    """Where a column of a model comes from: columns of what the model reads, or a `note` that says why from none.

    `known` is False where it could not be found out.
    """

    columns: tuple[ColumnOf, ...] = ()
    note: str | None = None
    known: bool = True


Lineage = Mapping[ColumnOf, ModelColumn]


def model_lineage(manifest: Mapping[str, Any], compiled: Mapping[str, str]) -> Lineage:
    """The lineage of every documented column of every model. `compiled` is the SQL of the models not generated."""
    found: dict[ColumnOf, ModelColumn] = {}
    relations = _relations(manifest)
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] != "model":
            continue
        kind = node["config"]["meta"].get("relation")
        if kind is not None:
            columns = _generated(manifest, node, RelationKind(kind))
        elif unique_id in compiled:
            columns = _written(node, compiled[unique_id], relations)
        else:
            columns = dict.fromkeys(node["columns"], ModelColumn(note="Lineage unknown: not compiled.", known=False))
        found |= {(unique_id, column): origin for column, origin in columns.items()}
    return found


def source_columns(lineage: Lineage, column: ColumnOf) -> set[ColumnOf]:
    """The columns of dbt sources, platform columns left out, that a column comes from through all models between."""
    platform = {field.name for field in PLATFORM_FIELDS}
    seen: set[ColumnOf] = set()
    waiting = [column]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting.extend(lineage[one].columns if one in lineage else ())
    return {(unique_id, name) for unique_id, name in seen if unique_id.startswith("source.") and name not in platform}


def _generated(manifest: Mapping[str, Any], node: Mapping[str, Any], kind: RelationKind) -> dict[str, ModelColumn]:
    (parent,) = node["depends_on"]["nodes"]
    known = {**manifest["nodes"], **manifest["sources"]}[parent]["columns"]

    def origin(column: str) -> str:
        if kind is RelationKind.VERSIONS:
            return _OF_LOG.get(column, column)
        # From when to when a state held, and whether it still does, follows from when changes were committed.
        return column if column in known else COMMIT_AT

    return {column: ModelColumn(((parent, origin(column)),)) for column in node["columns"]}


def _written(
    node: Mapping[str, Any], sql: str, relations: Mapping[Relation, tuple[str, Mapping[str, str]]]
) -> dict[str, ModelColumn]:
    schemas = {relation: columns for relation, (_, columns) in relations.items()}
    schemas[_COVERED] = {"source": "varchar", "table_schema": "varchar", "table_name": "varchar", "complete_to": "any"}
    found = {}
    for column, origins in sql_lineage(sql, schemas, list(node["columns"])).items():
        columns = tuple((relations[relation][0], name) for relation, name in origins.columns if relation != _COVERED)
        note = origins.note if columns or not origins.columns else _COVERED_NOTE
        found[column] = ModelColumn(columns, note, origins.known)
    return found


def _relations(manifest: Mapping[str, Any]) -> dict[Relation, tuple[str, Mapping[str, str]]]:
    """Unique id and columns, with types, of everything a model may read."""
    return {
        (node["schema"], name): (
            node["unique_id"],
            {column["name"]: column["data_type"] or "varchar" for column in node["columns"].values()},
        )
        for node, name in _nodes(manifest)
    }


def _nodes(manifest: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    for node in manifest["nodes"].values():
        if node["resource_type"] in {"model", "seed", "snapshot"}:
            yield node, node["alias"]
    for source in manifest["sources"].values():
        yield source, source["identifier"]
