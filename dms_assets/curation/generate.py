"""dbt models from metadata: three relations per table, their columns, descriptions and tests, and the sources.

What is generated is committed, so that a reviewer sees what a change of metadata does; `check_models` tells
whether the committed files are what the metadata gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from dms_assets.curation.history_columns import HistoryColumns
from dms_assets.curation.jinja_text import literal, literal_list, name, prose
from dms_assets.model.change_columns import PLATFORM_FIELDS
from dms_assets.model.names import INSIDE, SCHEMA_NAME, Layer, TableName, asset_path, folded, warehouse_schema
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata

HEADER = "Generated from metadata by dms_assets.curation.generate. Do not edit: the next generation overwrites it."

VERSIONS, HISTORY, LOADS = "_versions", "_history", "__loads"
"""What is appended to a table's name to name the relations beside it."""
_WHILE_BUILDING = ("__dbt_tmp", "__dbt_backup")
GIVEN_SUFFIXES = (VERSIONS, HISTORY, LOADS, *(f"{s}{w}" for s in ("", VERSIONS, HISTORY) for w in _WHILE_BUILDING))
"""All endings of names that the warehouse uses for a table, also those that dbt makes and drops while it builds."""


_BREAKS = re.compile("[\r\x85\u2028\u2029]")


class RelationKind(StrEnum):
    """The three relations of a table; `config.meta.relation` of their models."""

    VERSIONS = "versions"
    HISTORY = "history"
    CURRENT = "current"


PLATFORM_COLUMNS = {
    "_op": ("varchar", "What happened: L (row of a full load), I, U, D; LOAD stands for a load as a whole."),
    "_stream": ("bigint", "Ordinal of the stream of changes, from 1."),
    "_seq": ("varchar", "Change sequence: orders the changes of one stream. Null in rows of a load."),
    "_commit_at": ("timestamptz", "When the source committed the change; for a load, its boundary."),
    "_position": ("varchar", "Position in the source's log. Not for ordering."),
    "_load_id": ("varchar", "The load that a row of a load belongs to."),
    "_file": ("varchar", "Landing key of the file that brought the row."),
    "_file_row": ("bigint", "Ordinal of the row in its file."),
    "_change_id": ("blob", "Digest of the identity of the change."),
    "_batch": ("bigint", "The batch of the table that brought the state."),
    "_metadata_version": ("varchar", "Version of the metadata that the row was judged by."),
    "_state_seq": ("varchar", "Change sequence of the copy that gives the state: the largest of its transaction."),
    "_state_file": ("varchar", "Landing key of the file that gives the state."),
    "_state_file_row": ("bigint", "Ordinal of the row that gives the state in its file."),
    "_follows_load": ("varchar", "The load that the row belongs to, or follows in its stream; empty for none."),
    "_last_batch": ("bigint", "The last batch that brought a copy of the change."),
}
"""SQL type and description of every column that the platform adds to a change log or to the versions."""
_STATE_COLUMNS = ("_state_seq", "_state_file", "_state_file_row")


class ModelNameError(ValueError):
    """Names of a source, of its tables or of their columns that the warehouse cannot keep apart."""


def relation_names(source: str, table: TableName) -> dict[str, str]:
    """The dbt model of each relation of a table, by relation: `<table>_versions`, `<table>_history`, `<table>`."""
    suffixes = (VERSIONS, HISTORY, "")
    return {f"{table.table}{suffix}": f"{source}_{table.schema}__{table.table}{suffix}" for suffix in suffixes}


def planned_files(
    spec: SourceSpec, tables: Sequence[TableMetadata], columns: HistoryColumns | None = None
) -> dict[str, str]:
    """Every file of a source's models, by name. Raises ModelNameError, naming what collides and the remedy."""
    added = columns or HistoryColumns()
    _refuse_collisions(spec, tables, added)
    files = {f"_{spec.name}__sources.yml": _yaml({"version": 2, "sources": _sources(spec, tables)})}
    for table in tables:
        versions, history, current = relation_names(spec.name, table.name).values()
        files[f"{versions}.sql"] = _versions_sql(spec, table)
        files[f"{history}.sql"] = _of_versions_sql("scd2_history", table, versions)
        files[f"{current}.sql"] = _of_versions_sql("scd2_current", table, versions)
        files[f"{current}.yml"] = _yaml({"version": 2, "models": _models(spec, table, added)})
    return files


def generate_models(
    spec: SourceSpec, tables: Sequence[TableMetadata], target_dir: Path, columns: HistoryColumns | None = None
) -> list[Path]:
    """Write a source's models into its own folder; returns the files that changed, removed ones too.

    Generated files that no table asks for any more are removed; files written by hand stay.
    """
    files = planned_files(spec, tables, columns)
    changed = check_models(spec, tables, target_dir, columns)
    target_dir.mkdir(parents=True, exist_ok=True)
    for path in changed:
        if path.name in files:
            path.write_text(files[path.name], encoding="utf-8")
        else:
            path.unlink()
    return changed


def check_models(
    spec: SourceSpec, tables: Sequence[TableMetadata], target_dir: Path, columns: HistoryColumns | None = None
) -> list[Path]:
    """The files in `target_dir` that are not what the metadata gives: changed, missing or left over."""
    files = planned_files(spec, tables, columns)
    differing = [target_dir / file for file, text in files.items() if _content(target_dir / file) != text]
    left_over = [path for path in _generated(target_dir) if path.name not in files]
    return sorted([*differing, *left_over])


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _generated(target_dir: Path) -> Iterable[Path]:
    for path in sorted(target_dir.glob("*")):
        if path.suffix in {".sql", ".yml"} and HEADER in path.read_text(encoding="utf-8"):
            yield path


def _versions_sql(spec: SourceSpec, table: TableMetadata) -> str:
    source = f"source({literal(_validated(spec, table.name))}, {literal(table.name.table)})"
    arguments = {
        "source": source,
        "columns": _columns(table),
        "unique_positions": "true" if spec.dms.unique_positions else "false",
    }
    return _call("scd2_versions", arguments)


def _of_versions_sql(macro: str, table: TableMetadata, versions: str) -> str:
    arguments = {
        "versions": f"ref({literal(versions)})",
        "key": literal_list(table.key),
        "columns": _columns(table),
    }
    return _call(macro, arguments)


def _columns(table: TableMetadata) -> str:
    return literal_list(column.name for column in table.columns)


def _call(macro: str, arguments: dict[str, str]) -> str:
    lines = [f"    {argument}={value}," for argument, value in arguments.items()]
    return "\n".join([f"{{# {HEADER} #}}", f"{{{{ {macro}(", *lines, ") }}", ""])


class _Dumper(yaml.SafeDumper):
    """Writes texts so that they are read back as they are."""


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Within a plain or single-quoted text, YAML takes these for line breaks and folds them.
    style = '"' if _BREAKS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)


def _yaml(content: dict[str, Any]) -> str:
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return f"# {HEADER}\n{text}"


def _validated(spec: SourceSpec, table: TableName) -> str:
    return warehouse_schema(spec.name, table.schema, Layer.VALIDATED)


def _sources(spec: SourceSpec, tables: Sequence[TableMetadata]) -> list[dict[str, Any]]:
    schemas = sorted({_validated(spec, table.name) for table in tables})
    return [
        {
            "name": schema,
            "schema": schema,
            "description": prose(f"Change logs of source {spec.name}: every accepted file exactly once."),
            "tables": [_source_table(spec, table) for table in tables if _validated(spec, table.name) == schema],
        }
        for schema in schemas
    ]


def _source_table(spec: SourceSpec, table: TableMetadata) -> dict[str, Any]:
    validated = [field.name for field in PLATFORM_FIELDS]
    return {
        "name": table.name.table,
        "description": prose(table.comment or f"Change log of {table.name}."),
        "config": {
            "meta": {"dagster": {"asset_key": asset_path(spec.name, Layer.VALIDATED, table.name)}},
        },
        "columns": [*map(_column, table.columns), *_platform_columns(validated)],
    }


def _models(spec: SourceSpec, table: TableMetadata, added: HistoryColumns) -> list[dict[str, Any]]:
    names = relation_names(spec.name, table.name)
    texts = _descriptions(table)
    return [
        _model(spec, table, relation, model, kind=kind, text=text, columns=columns, config=config, tests=tests)
        for (relation, model), kind, text, columns, config, tests in zip(
            names.items(),
            RelationKind,
            texts,
            (_versions_columns(spec), [*_added_columns(added), *_platform_columns(["_change_id", "_batch"])], []),
            ({"materialized": "incremental"}, {"materialized": "view"}, {"materialized": "view"}),
            _tests(spec, table),
            strict=True,
        )
    ]


def _model(
    spec: SourceSpec,
    table: TableMetadata,
    relation: str,
    model: str,
    *,
    kind: RelationKind,
    text: str,
    columns: list[dict[str, Any]],
    config: dict[str, Any],
    tests: list[dict[str, Any]],
) -> dict[str, Any]:
    if config["materialized"] == "incremental":
        config = {
            **config,
            "incremental_strategy": "merge",
            "unique_key": "_change_id",
            "on_schema_change": "append_new_columns",
        }
    return {
        "name": model,
        "description": prose(text),
        "config": {
            **config,
            "schema": warehouse_schema(spec.name, table.name.schema, Layer.CURATED),
            "alias": relation,
            "meta": {
                "relation": kind.value,
                "dagster": {
                    "asset_key": asset_path(spec.name, Layer.CURATED, table.name, relation),
                    "group": f"{spec.name}_{Layer.CURATED.value}",
                },
            },
        },
        "columns": [*map(_column, table.columns), *columns],
        **({"data_tests": tests} if tests else {}),
    }


def _descriptions(table: TableMetadata) -> tuple[str, str, str]:
    about = f"{table.comment.rstrip('.')}. " if table.comment else ""
    if not table.key:
        log = "The table has no key, so it is a log: at least once, changes and deletes of a row are not followed."
        return (
            f"{about}Every row that arrived of {table.name}. {log}",
            f"{about}Rows of {table.name} as loaded or inserted, until the next load. {log}",
            f"{about}The rows of the latest load of {table.name} and those inserted since. {log}",
        )
    return (
        f"{about}Every distinct change of {table.name}, deletes too, with what identifies and orders it.",
        f"{about}The states of every row of {table.name}, each with the half-open interval in which it held (UTC).",
        f"{about}{table.name} as it is now.",
    )


def _tests(spec: SourceSpec, table: TableMetadata) -> tuple[list[dict[str, Any]], ...]:
    versions, history, current = relation_names(spec.name, table.name).values()
    sound = [{"scd2_versions_sound": {"name": f"{versions}_sound"}}]
    if not table.key:
        return sound, [], []
    well_formed = {"name": f"{history}_well_formed", "arguments": {"key": [*map(name, table.key)]}}
    unique_key = {"name": f"{current}_key", "arguments": {"key": [*map(name, table.key)]}}
    return sound, [{"scd2_well_formed": well_formed}], [{"scd2_key": unique_key}]


def _column(column: ColumnMetadata) -> dict[str, Any]:
    described = {"description": prose(column.comment)} if column.comment else {}
    return {"name": name(column.name), "data_type": column.type.sql, **described, "quote": True}


def _platform_columns(names: Iterable[str]) -> list[dict[str, Any]]:
    return [
        {"name": column, "data_type": PLATFORM_COLUMNS[column][0], "description": PLATFORM_COLUMNS[column][1]}
        for column in names
    ]


def _versions_columns(spec: SourceSpec) -> list[dict[str, Any]]:
    left_out = _STATE_COLUMNS if spec.dms.unique_positions else ()
    return _platform_columns(column for column in PLATFORM_COLUMNS if column not in left_out)


def _added_columns(added: HistoryColumns) -> list[dict[str, Any]]:
    described = (
        ("timestamptz", "From when the state held (UTC), included."),
        ("timestamptz", f"Until when it held (UTC), excluded; {added.open_end} while it does."),
        ("boolean", "Whether it still holds."),
    )
    return [
        {"name": name(column), "data_type": data_type, "description": prose(text), "quote": True}
        for column, (data_type, text) in zip(added.names, described, strict=True)
    ]


def _refuse_collisions(spec: SourceSpec, tables: Sequence[TableMetadata], added: HistoryColumns) -> None:
    relations: dict[str, TableName] = {}
    for table in tables:
        if not SCHEMA_NAME.fullmatch(table.name.schema):
            raise ModelNameError(
                f"schema '{table.name.schema}' of source '{spec.name}' cannot name a warehouse schema; "
                "use letters, digits and underscores, or extract it through a schema of another name"
            )
        for suffix in ("", *GIVEN_SUFFIXES):
            relation = f"{table.name.table}{suffix}"
            other = relations.setdefault(folded(f"{table.name.schema}.{relation}"), table.name)
            if other != table.name:
                raise ModelNameError(
                    f"tables {other} and {table.name} of source '{spec.name}' both need the relation '{relation}'; "
                    "leave one of them out, or rename it in the source"
                )
        _refuse_column_collisions(table, added)


def _refuse_column_collisions(table: TableMetadata, added: HistoryColumns) -> None:
    taken = dict.fromkeys(PLATFORM_COLUMNS, "is the platform's own; exclude the column")
    taken |= dict.fromkeys(
        (folded(column) for column in added.names),
        "is one that history adds; give that another name (vars scd2_* in dbt_project.yml)",
    )
    for column in table.columns:
        same = folded(column.name)
        reason = taken.get(same)
        if same.startswith(INSIDE):
            reason = f"begins with {INSIDE}, as those of the SQL of histories; exclude the column, or rename it"
        if reason:
            raise ModelNameError(f"column '{column.name}' of {table.name}: the name {reason}")
        taken[same] = (
            "differs only in case or form from that of another column, which the warehouse cannot tell; rename it"
        )
