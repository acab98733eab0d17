"""What a source says of its tables: columns, types, keys, replica identities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from dms_assets.local_dms.column import PgType, SourceColumn
from dms_assets.local_dms.faults import TaskError
from dms_assets.local_dms.postgres.identity import unnamed
from dms_assets.model.names import TableName

_TABLES = """
select n.nspname, c.relname, c.oid::int8,
       coalesce((select array_agg(a.attname::text order by k.place)
                 from pg_index i cross join lateral unnest(i.indkey::int2[]) with ordinality k(attnum, place)
                 join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                 where i.indrelid = c.oid and i.indisprimary and k.place <= i.indnkeyatts), '{}')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p'
  and n.nspname not in ('information_schema') and n.nspname not like 'pg\\_%'
order by 1, 2
"""
_COLUMNS = """
select a.attname, a.atttypid::int8, a.atttypmod, a.attgenerated::text
from pg_attribute a where a.attrelid = %s and a.attnum > 0 and not a.attisdropped order by a.attnum
"""
_TYPES = """
with recursive base(declared, oid, typmod) as (
    select oid, oid, -1 from pg_type where oid = any(%s::oid[])
    union all
    select b.declared, t.typbasetype, case when t.typtypmod >= 0 then t.typtypmod else b.typmod end
    from base b join pg_type t on t.oid = b.oid where t.typtype = 'd'
)
select b.declared::int8, b.oid::int8, b.typmod, t.typname, t.typtype::text, t.typcategory::text,
       quote_ident(n.nspname) || '.' || quote_ident(p.proname), t.typsend <> 0
from base b join pg_type t on t.oid = b.oid join pg_proc p on p.oid = t.typoutput
join pg_namespace n on n.oid = p.pronamespace
where t.typtype <> 'd'
"""


@dataclass(frozen=True, slots=True)
class SourceTable:
    """One table of the source."""

    name: TableName
    oid: int
    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]
    unnamed: str
    """Why the log does not say which row an update or delete touched; empty if it does."""
    left_out: tuple[str, ...] = ()
    """Generated columns that logical decoding of this server does not carry."""

    @property
    def can_replicate_updates(self) -> bool:
        """Whether the log says which row an update or delete touched: a usable key, or the full row."""
        return not self.unnamed


def list_tables(connection: psycopg.Connection[Any]) -> list[TableName]:
    """All permanent tables outside the system schemas; a partitioned table counts, its partitions do not."""
    return [TableName(row[0], row[1]) for row in connection.execute(_TABLES)]


def read_tables(connection: psycopg.Connection[Any], wanted: Iterable[TableName]) -> list[SourceTable]:
    """The named tables that exist. Raises TaskError if the database's encoding cannot be read safely."""
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        raise TaskError(
            "The source database has encoding SQL_ASCII, in which text may be no text at all; "
            "move it to a database with encoding UTF8."
        )
    names = set(wanted)
    carries_generated = connection.info.server_version >= 180000
    tables: list[SourceTable] = []
    found = [(TableName(schema, table), oid, key) for schema, table, oid, key in connection.execute(_TABLES)]
    found = [one for one in found if one[0] in names]
    reasons = unnamed(connection, [oid for _, oid, _ in found])
    for name, oid, key in found:
        rows = connection.execute(_COLUMNS, [oid]).fetchall()
        left_out = tuple(row[0] for row in rows if row[3] == "v" or (row[3] == "s" and not carries_generated))
        kept = [row for row in rows if row[0] not in left_out]
        types = read_types(connection, [row[1] for row in kept])
        columns = tuple(SourceColumn(n, types[t], m if m >= 0 else types[t].domain_typmod) for n, t, m, _ in kept)
        tables.append(SourceTable(name, oid, columns, tuple(key), reasons.get(oid, ""), left_out))
    return tables


def read_types(connection: psycopg.Connection[Any], oids: Iterable[int]) -> dict[int, PgType]:
    """Types by their oid, domains resolved. Raises TaskError for a type that is gone."""
    wanted = sorted(set(oids))
    rows = connection.execute(_TYPES, [wanted]).fetchall()
    types = {
        declared: PgType(declared, name, typtype, category, output, has_binary, base, typmod)
        for declared, base, typmod, name, typtype, category, output, has_binary in rows
    }
    missing = [oid for oid in wanted if oid not in types]
    if missing:
        raise TaskError(
            f"Types {missing} of columns in the log are no longer in the source's catalog; reload the task."
        )
    return types


def money_digits(connection: psycopg.Connection[Any]) -> int:
    """Decimal places of `money` in the source (lc_monetary)."""
    row = connection.execute("select scale('1'::money::numeric)").fetchone()
    return int(row[0]) if row else 2
