"""Whether the log can name the rows of a table: asked when it is published, and again and again while it is.

For a published table whose rows cannot be named PostgreSQL refuses UPDATE and DELETE. What is logged of a partitioned
table is up to its partitions; the setting of the root does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import psycopg

_IDENTITIES = """
with asked as (
    select oid as root, oid as relid from pg_class where oid = any(%(oids)s::oid[])
    union
    select c.oid, p.relid from pg_class c cross join lateral pg_partition_tree(c.oid) p
    where c.oid = any(%(oids)s::oid[]) and c.relkind = 'p' and p.isleaf
)
select a.root::int8, c.oid::regclass::text, c.relkind::text, c.relreplident::text, coalesce(i.primary_key, '{}'),
       coalesce(i.immediate, false), coalesce(i.identity, '{}')
from asked a join pg_class c on c.oid = a.relid
left join lateral (
    select array_agg(t.attname::text) filter (where i.indisprimary and k.place <= i.indnkeyatts) as primary_key,
           bool_or(i.indimmediate) filter (where i.indisprimary) as immediate,
           array_agg(t.attname::text) filter (where i.indisreplident) as identity
    from pg_index i cross join lateral unnest(i.indkey::int2[]) with ordinality k(number, place)
    join pg_attribute t on t.attrelid = i.indrelid and t.attnum = k.number
    where i.indrelid = c.oid and (i.indisprimary or i.indisreplident)
) i on true
order by a.root, c.relkind = 'p', 2
"""


def unnamed(connection: psycopg.Connection[Any], oids: Sequence[int]) -> dict[int, str]:
    """Those of the tables whose rows the log cannot name, each with the reason."""
    rows = connection.execute(_IDENTITIES, {"oids": list(oids)}).fetchall()
    reasons = {root: _reason(list(members)) for root, members in groupby(rows, lambda row: row[0])}
    return {root: reason for root, reason in reasons.items() if reason}


def _reason(members: list[tuple[Any, ...]]) -> str:
    """Why the rows of one table cannot be named; empty if they can."""
    leaves = [member for member in members if member[2] != "p"]
    for _, name, _, identity, key, immediate, columns in leaves:
        reason = _cause(identity, key, columns, immediate=immediate)
        if reason:
            return f"{reason} (partition {name})" if len(members) > 1 else reason
    if members[-1][2] == "p" and not members[-1][4] and not (leaves and all(leaf[3] == "f" for leaf in leaves)):
        return "no primary key"
    return ""


def _cause(identity: str, key: Sequence[str], columns: Sequence[str], *, immediate: bool) -> str:
    if identity == "f":
        return ""
    if identity == "n":
        return "REPLICA IDENTITY NOTHING"
    if identity == "i":
        named = columns and set(key) <= set(columns)
        return "" if named else "its replica identity is an index that does not hold the key, or is gone"
    if not key:
        return "no primary key"
    return "" if immediate else "its primary key is deferrable"
