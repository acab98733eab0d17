"""Publications: which tables' changes the slot carries.

Two for each task. Tables whose rows the log can name (usable key or full images) publish all changes; the others
publish inserts only, since adding them with updates would make PostgreSQL refuse UPDATE and DELETE on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from dms_assets.local_dms.postgres.catalog import SourceTable
from dms_assets.local_dms.postgres.source import literal
from dms_assets.model.names import quote


def publication_names(slot: str) -> tuple[str, str]:
    """The names of a task's publications: of all changes, and of inserts only."""
    return slot, f"{slot}_inserts"


def drop_publications(connection: psycopg.Connection[Any], slot: str) -> None:
    """Remove a task's publications if they exist."""
    for name in publication_names(slot):
        connection.execute(literal(f"drop publication if exists {quote(name)}"))


def create_publications(connection: psycopg.Connection[Any], slot: str, tables: Sequence[SourceTable]) -> None:
    """Make a task's publications anew. They must be there before the slot is, or decoding cannot find them."""
    drop_publications(connection, slot)
    generated = ", publish_generated_columns = stored" if connection.info.server_version >= 180000 else ""
    for name, operations, chosen in _split(slot, tables):
        target = f" for table {_listed(chosen)}" if chosen else ""
        options = f"publish = '{operations}', publish_via_partition_root = true{generated}"
        connection.execute(literal(f"create publication {quote(name)}{target} with ({options})"))


def set_publications(connection: psycopg.Connection[Any], slot: str, tables: Sequence[SourceTable]) -> None:
    """Let the publications of a live slot carry these tables, from here on in the log. For a transaction to commit."""
    for name, _, chosen in _split(slot, tables):
        carried = connection.execute(
            "select schemaname, tablename from pg_publication_tables where pubname = %s", [name]
        ).fetchall()
        if chosen:
            connection.execute(literal(f"alter publication {quote(name)} set table {_listed(chosen)}"))
        elif carried:
            gone = ", ".join(f"{quote(schema)}.{quote(table)}" for schema, table in carried)
            connection.execute(literal(f"alter publication {quote(name)} drop table {gone}"))


def publish(connection: psycopg.Connection[Any], slot: str, table: SourceTable) -> None:
    """Let the publications of a live slot carry one more table, or all changes of one that had its inserts there."""
    unpublish(connection, slot, table.oid)
    name = publication_names(slot)[0 if table.can_replicate_updates else 1]
    connection.execute(literal(f"alter publication {quote(name)} add table {_listed([table])}"))


def unpublish(connection: psycopg.Connection[Any], slot: str, oid: int) -> None:
    """Take a table out of the publications of a live slot."""
    rows = connection.execute(_CARRIERS, [list(publication_names(slot)), oid]).fetchall()
    for publication, schema, table in rows:
        name = f"{quote(schema)}.{quote(table)}"
        connection.execute(literal(f"alter publication {quote(publication)} drop table {name}"))


_CARRIERS = """
select p.pubname::text, n.nspname::text, c.relname::text
from pg_publication p join pg_publication_rel r on r.prpubid = p.oid join pg_class c on c.oid = r.prrelid
join pg_namespace n on n.oid = c.relnamespace where p.pubname = any(%s) and c.oid = %s
"""
_PUBLISHED = """
select p.pubname::text, null::int8, p.oid::text || ':' || p.xmin::text from pg_publication p where p.pubname = any(%s)
union all
select p.pubname::text, r.prrelid::int8, r.oid::text || ':' || r.xmin::text
from pg_publication p join pg_publication_rel r on r.prpubid = p.oid where p.pubname = any(%s)
"""


def published(connection: psycopg.Connection[Any], slot: str) -> dict[str, str]:
    """A task's publications and their tables (`publication/oid`), each with a mark that any change of it changes."""
    names = list(publication_names(slot))
    rows = connection.execute(_PUBLISHED, [names, names]).fetchall()
    return {name if oid is None else f"{name}/{oid}": mark for name, oid, mark in rows}


def unlike(connection: psycopg.Connection[Any], wanted: Mapping[str, str], found: Mapping[str, str]) -> str:
    """What of a publication is not as wanted; empty if all is. A table that is gone has left it by itself."""
    changed = [name for name, mark in wanted.items() if found.get(name) != mark]
    for name in changed:
        publication, _, oid = name.partition("/")
        if not oid:
            return f"publication {publication}"
        there = connection.execute("select oid::regclass::text from pg_class where oid = %s", [int(oid)]).fetchone()
        if there is not None:
            return f"table {there[0]} in publication {publication}"
    return ""


def _split(slot: str, tables: Sequence[SourceTable]) -> list[tuple[str, str, list[SourceTable]]]:
    """Publication, operations and tables of each of the two."""
    whole, inserts = publication_names(slot)
    return [
        (whole, "insert, update, delete", [t for t in tables if t.can_replicate_updates]),
        (inserts, "insert", [t for t in tables if not t.can_replicate_updates]),
    ]


def _listed(tables: Sequence[SourceTable]) -> str:
    return ", ".join(f"{quote(t.name.schema)}.{quote(t.name.table)}" for t in tables)
