"""Reflect PostgreSQL tables from its catalogue, in one repeatable-read transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg.rows import namedtuple_row

from dms_assets.model.names import TableName
from dms_assets.model.postgres_types import postgres_type
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import ColumnMetadata, ForeignKey, TableMetadata

_TABLES = """
select c.oid, c.relname as name, c.relreplident = 'f' as full_images, obj_description(c.oid, 'pg_class') as comment,
       row_security_active(c.oid) as row_security
from pg_catalog.pg_class c
where c.relnamespace = (select oid from pg_catalog.pg_namespace where nspname = %(schema)s)
  and c.relkind in ('r', 'p') and c.relname = any(%(tables)s)
"""
_COLUMNS = """
select a.attrelid, a.attname as name, a.atttypid, a.atttypmod, a.attnotnull,
       format_type(a.atttypid, a.atttypmod) as source_type, col_description(a.attrelid, a.attnum) as comment,
       a.attgenerated <> '' as generated
from pg_catalog.pg_attribute a
where a.attrelid = any(%(oids)s) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""
_TYPES = "select oid, typname, typtype, typcategory, typbasetype, typtypmod, typnotnull from pg_catalog.pg_type"
_ENUMS = "select enumtypid, array_agg(enumlabel::text order by enumsortorder) as labels from pg_enum group by enumtypid"
_CONSTRAINTS = """
select c.conrelid, c.contype, rn.nspname as references_schema, r.relname as references_table,
       (select array_agg(a.attname::text order by k.n) from unnest(c.conkey) with ordinality k(attnum, n)
        join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum) as columns,
       (select array_agg(a.attname::text order by k.n) from unnest(c.confkey) with ordinality k(attnum, n)
        join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.attnum) as references_columns
from pg_catalog.pg_constraint c
left join pg_class r on r.oid = c.confrelid left join pg_namespace rn on rn.oid = r.relnamespace
where c.conrelid = any(%(oids)s) and c.contype in ('p', 'f') order by c.conname
"""


@dataclass(frozen=True, slots=True)
class Reflection:
    """What was found: metadata per table, and the declared tables that the source does not have.

    Of those in `hidden` row security may keep rows from the platform's user: a load is short of them, and so is a
    comparison. Their changes are in the log.
    """

    tables: dict[TableName, TableMetadata]
    missing: tuple[TableName, ...]
    hidden: frozenset[TableName] = frozenset()


class _Types:
    """The catalogue's types, with domains resolved to what they are made of."""

    def __init__(self, rows: Sequence[Any], enums: dict[int, list[str]]) -> None:
        self._rows = {row.oid: row for row in rows}
        self._enums = enums

    def column(self, row: Any) -> ColumnMetadata:
        oid, modifier, not_null = row.atttypid, row.atttypmod, row.attnotnull
        while self._rows[oid].typtype == "d":
            domain = self._rows[oid]
            oid, modifier, not_null = domain.typbasetype, domain.typtypmod, not_null or domain.typnotnull
        base = self._rows[oid]
        logical, length = postgres_type(base.typname, modifier, base.typtype, base.typcategory)
        labels = self._enums.get(oid)
        return ColumnMetadata(
            name=row.name,
            type=logical,
            source_type=row.source_type,
            nullable=not not_null,
            length=length,
            enum=tuple(labels) if labels else None,
            comment=row.comment,
            generated=row.generated,
        )


def reflect(connection: psycopg.Connection[Any], schema: str, tables: Sequence[str]) -> Reflection:
    """Reflect `tables` of `schema`.

    Generated columns are left out: logical replication does not carry them, and a load must have the same columns
    as a change. A table without SELECT privilege is the preflight's business, not this one's. Raises psycopg.Error.
    """
    with connection.transaction(), connection.cursor(row_factory=namedtuple_row) as cursor:

        def rows(query: LiteralString, **parameters: Any) -> list[Any]:
            return cursor.execute(query, parameters).fetchall()

        cursor.execute("set transaction isolation level repeatable read read only")
        relations = rows(_TABLES, schema=schema, tables=list(tables))
        oids = [relation.oid for relation in relations]
        columns = rows(_COLUMNS, oids=oids)
        types = _Types(rows(_TYPES), {row.enumtypid: row.labels for row in rows(_ENUMS)})
        constraints = rows(_CONSTRAINTS, oids=oids)
    found: dict[TableName, TableMetadata] = {}
    for relation in relations:
        name = TableName(schema, relation.name)
        own = [row for row in constraints if row.conrelid == relation.oid]
        reflected = [types.column(row) for row in columns if row.attrelid == relation.oid]
        found[name] = _table(name, relation, reflected, own)
    names = [TableName(schema, table) for table in tables]
    return Reflection(
        {name: found[name] for name in names if name in found},
        tuple(name for name in names if name not in found),
        frozenset(TableName(schema, relation.name) for relation in relations if relation.row_security),
    )


def _table(name: TableName, relation: Any, columns: list[ColumnMetadata], constraints: list[Any]) -> TableMetadata:
    foreign = [row for row in constraints if row.contype == "f"]
    return TableMetadata(
        name=name,
        columns=tuple(columns),
        key=next((tuple(row.columns) for row in constraints if row.contype == "p"), ()),
        comment=relation.comment,
        foreign_keys=tuple(
            ForeignKey(
                tuple(row.columns),
                TableName(row.references_schema, row.references_table),
                tuple(row.references_columns),
            )
            for row in foreign
        ),
        full_images=relation.full_images,
    ).without({column.name for column in columns if column.generated})


class ExclusionError(ValueError):
    """A declared exclusion cannot be applied to the table as it is."""


def apply_exclusions(metadata: TableMetadata, spec: SourceSpec) -> TableMetadata:
    """The metadata without the columns that the declaration excludes.

    Raises ExclusionError if an excluded column is part of the key, which every change is told by, or not there, or if
    no column is left.
    """
    excluded = {entry.column for entry in spec.table(metadata.name).exclude_columns}
    if keys := sorted(excluded & set(metadata.key)):
        raise ExclusionError(
            f"source '{spec.name}', table {metadata.name}: key columns {keys} cannot be excluded; "
            "remove them from exclude_columns"
        )
    known = {column.name for column in metadata.columns} | set(metadata.excluded)
    if unknown := sorted(excluded - known):
        raise ExclusionError(
            f"source '{spec.name}', table {metadata.name}: excluded columns {unknown} do not exist; "
            "correct or remove them in exclude_columns"
        )
    kept = metadata.without(excluded - set(metadata.excluded))
    if not kept.columns:
        raise ExclusionError(
            f"source '{spec.name}', table {metadata.name}: no column is left; "
            "leave the table out, or remove some of its columns from exclude_columns"
        )
    return kept
