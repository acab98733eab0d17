"""One reading of a source's catalogue, at one snapshot, into facts. Nothing is written and no row is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
from psycopg.rows import namedtuple_row

from dms_assets.local_dms.column import SourceColumn
from dms_assets.local_dms.postgres.catalog import read_types
from dms_assets.model.names import TableName
from dms_assets.preflight.facts import Column, Facts, Key, OpenTransaction, Relation, Role, Server, Slot

STATEMENT_TIMEOUT_S = 60

_SETTINGS = (
    *("max_replication_slots", "max_wal_senders", "max_slot_wal_keep_size", "wal_sender_timeout"),
    *("idle_replication_slot_timeout", "statement_timeout", "lock_timeout", "transaction_timeout"),
    *("idle_in_transaction_session_timeout", "idle_session_timeout"),
)
_UNITS = {"B": 1, "kB": 1 << 10, "8kB": 8 << 10, "MB": 1 << 20, "GB": 1 << 30}
_UNITS |= {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}

_SERVER = """
select current_setting('server_version_num')::int as version, current_database()::text as database,
       current_setting('server_encoding') as encoding, pg_is_in_recovery() as in_recovery,
       exists (select from pg_roles where rolname = 'rds_superuser') as managed,
       coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted,
       current_setting('wal_level') as wal_level,
       (select count(*)::int from pg_stat_activity where backend_type = 'walsender') as wal_senders,
       (select count(*)::int from pg_replication_slots) as slots
"""
_SETTING_ROWS = "select name, setting::int8, unit from pg_settings where name = any(%(names)s)"
_ROLE = """
select r.rolname::text as name, r.rolsuper as superuser,
       r.rolreplication or exists (
           select from pg_roles g where g.rolname = 'rds_replication' and pg_has_role(g.oid, 'usage')
       ) as replication,
       has_database_privilege(current_database(), 'create') as creates_in_database
from pg_roles r where r.rolname = current_user
"""
_SCHEMA = "select has_schema_privilege(oid, 'usage') as usage from pg_namespace where nspname = %(schema)s"
_RELATIONS = """
with parts as (
    select c.oid as root, c.oid as part from pg_class c
    union select c.oid, p.relid from pg_class c cross join lateral pg_partition_tree(c.oid) p where c.relkind = 'p'
)
select c.oid::int8 as oid, c.relname::text as name, c.relkind::text as kind, c.relpersistence = 'u' as unlogged,
       pn.nspname::text as parent_schema, p.relname::text as parent_name,
       array(select quote_ident(hn.nspname) || '.' || quote_ident(h.relname)
             from pg_inherits i join pg_class h on h.oid = i.inhrelid join pg_namespace hn on hn.oid = h.relnamespace
             where i.inhparent = c.oid and not h.relispartition order by 1) as children,
       pg_get_userbyid(c.relowner)::text as owner, pg_has_role(c.relowner, 'usage') as owned,
       has_table_privilege(c.oid, 'select') as selectable, row_security_active(c.oid) as row_security,
       case when c.relkind <> 'p' then c.relreplident::text else (
           -- What is logged is up to each partition; the root's own setting does nothing.
           select case when bool_and(l.relreplident = 'f') then 'f' when bool_or(l.relreplident = 'n') then 'n'
                       else 'd' end
           from parts join pg_class l on l.oid = part where root = c.oid and l.relkind = 'r') end as identity,
       array(select quote_ident(ln.nspname) || '.' || quote_ident(l.relname) from parts
             join pg_class l on l.oid = part join pg_namespace ln on ln.oid = l.relnamespace
             where root = c.oid and l.relkind in ('r', 'p') order by l.relkind = 'r', 1) as logged_as,
       array(select a.attname::text from pg_index i cross join lateral unnest(i.indkey::int2[]) k(attnum)
             join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
             where i.indrelid = c.oid and i.indimmediate and case c.relreplident
                 when 'i' then c.relkind = 'r' and i.indisreplident when 'd' then i.indisprimary
                 else c.relkind = 'p' and i.indisprimary end) as identity_columns,
       array(select a.attname::text from pg_index u cross join lateral unnest(u.indkey::int2[]) with ordinality k(n, at)
             join pg_attribute a on a.attrelid = c.oid and a.attnum = k.n
             where u.indexrelid = (
                 select i.indexrelid from pg_index i
                 where i.indrelid = c.oid and i.indisunique and i.indimmediate and i.indisvalid
                   and i.indpred is null and i.indexprs is null
                   and not exists (select from pg_attribute n where n.attrelid = c.oid
                                   and n.attnum = any(i.indkey::int2[]) and not n.attnotnull)
                 order by i.indnkeyatts, i.indexrelid limit 1)
               and k.at <= u.indnkeyatts order by k.at) as unique_columns,
       k.conname::text as key_name, coalesce(k.condeferrable, false) as key_deferrable,
       array(select a.attname::text from unnest(k.conkey) with ordinality e(n, at)
             join pg_attribute a on a.attrelid = c.oid and a.attnum = e.n order by e.at) as key_columns,
       (select coalesce(sum(pg_relation_size(part)), 0)::int8 from parts where root = c.oid) as size,
       (select coalesce(sum(pg_relation_size(t.reltoastrelid)), 0)::int8 from parts
        join pg_class t on t.oid = part and t.reltoastrelid <> 0 where root = c.oid) as toast_size,
       (select coalesce(sum(pg_stat_get_tuples_updated(part) + pg_stat_get_tuples_deleted(part)), 0)::int8
        from parts where root = c.oid) as changed_rows,
       array(select distinct case x.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end
             from aclexplode(c.relacl) x where x.privilege_type = 'TRUNCATE' and x.grantee <> c.relowner) as truncators
from pg_class c
left join pg_constraint k on k.conrelid = c.oid and k.contype = 'p'
left join pg_inherits up on up.inhrelid = c.oid and c.relispartition
left join pg_class p on p.oid = up.inhparent left join pg_namespace pn on pn.oid = p.relnamespace
where c.relnamespace = (select oid from pg_namespace where nspname = %(schema)s) and c.relkind in ('r','p','f','v','m')
order by 2
"""
_COLUMNS = """
select a.attrelid::int8 as relation, a.attname::text as name, a.atttypid::int8 as type, a.atttypmod as typmod,
       a.attgenerated <> '' as generated, format_type(a.atttypid, a.atttypmod) as source_type,
       has_column_privilege(a.attrelid, a.attnum, 'select') as readable, a.attstorage <> 'p' as toastable
from pg_attribute a where a.attrelid = any(%(relations)s) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""
_SLOTS = """
select slot_name::text as name, active, wal_status,
       pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end,
                       restart_lsn)::int8 as retained,
       to_jsonb(s) ->> 'invalidation_reason' as reason
from pg_replication_slots s where not temporary and (database is null or database = current_database()) order by 1
"""
_TRANSACTIONS = """
select pid, null as gid, coalesce(usename, '?')::text as owner, clock_timestamp() - xact_start as age
from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid() and datname is not null
union all
select null, gid, owner::text, clock_timestamp() - prepared from pg_prepared_xacts
"""
_PUBLICATIONS = "select pubname::text as name from pg_publication order by 1"
_EXTENSIONS = "select extname::text as name from pg_extension"


def read_facts(
    connection: psycopg.Connection[Any],
    schema: str,
    declared: Collection[str],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Facts:
    """Everything about the schema, with the columns of the declared tables. Raises psycopg.Error.

    The session's own timeouts are read first; then its statements are bounded.
    """
    with connection.cursor(row_factory=namedtuple_row) as cursor:

        def rows(query: LiteralString, **parameters: Any) -> list[Any]:
            return cursor.execute(query, parameters).fetchall()

        settings = {r.name: _in_base_unit(r.setting, r.unit) for r in rows(_SETTING_ROWS, names=list(_SETTINGS))}
        cursor.execute(f"set statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
        asked = clock()
        (theirs,) = rows("select clock_timestamp() as now")
        error = (clock() - asked) / 2
        with connection.transaction():
            cursor.execute("set transaction isolation level repeatable read read only")
            (server,) = rows(_SERVER)
            (role,) = rows(_ROLE)
            usage = rows(_SCHEMA, schema=schema)
            found = rows(_RELATIONS, schema=schema)
            wanted = [row.oid for row in found if row.name in declared]
            columns = _columns(connection, rows(_COLUMNS, relations=wanted))
            slots, transactions = rows(_SLOTS), rows(_TRANSACTIONS)
            publications, extensions = rows(_PUBLICATIONS), rows(_EXTENSIONS)
    return Facts(
        server=Server(
            **server._asdict(),
            loopback=connection.info.hostaddr in {"127.0.0.1", "::1"} or connection.info.host.startswith("/"),
            settings=settings,
            clock_ahead=theirs.now - (asked + error),
            clock_error=error,
        ),
        role=Role(**role._asdict(), schema_usage=bool(usage and usage[0].usage)),
        schema_exists=bool(usage),
        relations={row.name: replace(_relation(schema, row), columns=columns.get(row.oid, ())) for row in found},
        slots=tuple(Slot(r.name, r.active, r.wal_status, r.reason, r.retained) for r in slots),
        transactions=tuple(OpenTransaction(r.pid, r.gid, r.owner, r.age) for r in transactions),
        publications=tuple(row.name for row in publications),
        extensions=frozenset(row.name for row in extensions),
    )


def _in_base_unit(setting: int, unit: str | None) -> int:
    """Milliseconds or bytes; 0 and -1 mean the same in every unit."""
    return setting if setting <= 0 or unit is None else setting * _UNITS[unit]


def _relation(schema: str, row: Any) -> Relation:
    parent = TableName(row.parent_schema, row.parent_name) if row.parent_name else None
    key = Key(row.key_name, tuple(row.key_columns), row.key_deferrable) if row.key_name else None
    return Relation(
        name=TableName(schema, row.name),
        oid=row.oid,
        kind=row.kind,
        unlogged=row.unlogged,
        partition_of=parent,
        children=tuple(row.children),
        owner=row.owner,
        owned=row.owned,
        selectable=row.selectable,
        row_security=row.row_security,
        identity=row.identity or "d",
        logged_as=tuple(row.logged_as),
        identity_columns=tuple(row.identity_columns),
        key=key,
        unique_columns=tuple(row.unique_columns),
        size=row.size,
        toast_size=row.toast_size,
        changed_rows=row.changed_rows,
        truncators=tuple(row.truncators),
    )


def _columns(connection: psycopg.Connection[Any], rows: Sequence[Any]) -> dict[int, tuple[Column, ...]]:
    types = read_types(connection, {row.type for row in rows})
    found: dict[int, tuple[Column, ...]] = {}
    for row in rows:
        kind = types[row.type]
        source = SourceColumn(row.name, kind, row.typmod if row.typmod >= 0 else kind.domain_typmod)
        column = Column(source, row.source_type, row.generated, row.readable, row.toastable)
        found[row.relation] = (*found.get(row.relation, ()), column)
    return found
