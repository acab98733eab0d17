"""Faults behind the platform's back: each on a table of its own, with what reconciliation has to find there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from dms_assets.model.names import TableName
from dms_assets.reconcile.keys import key_hash
from dms_assets.reconcile.result import ReconciliationResult
from tests.system.conftest import System

LARGE_ROWS = 100_000


@dataclass(frozen=True)
class Found:
    """What a comparison finds: rows on one side, keys with other values; hashes of the keys, where they are told."""

    missing: int = 0
    extra: int = 0
    different: int = 0
    keys: frozenset[str] | None = None
    method: str = "every row"

    @property
    def total(self) -> int:
        """Rows and keys in all."""
        return self.missing + self.extra + self.different

    def fits(self, result: ReconciliationResult) -> bool:
        """Whether a result says just this."""
        counts = (result.missing, result.extra, result.different)
        named = self.keys is None or self.keys == {key.key_hash for key in result.keys}
        return counts == (self.missing, self.extra, self.different) and named and result.method.startswith(self.method)


@dataclass(frozen=True)
class Fault:
    """`plant` makes it and says what there is to find."""

    name: str
    table: TableName
    plant: Callable[[System, TableName], Found]


def enlarge(system: System) -> int:
    """Make the largest table of the sample large; its rows."""
    system.execute(
        "insert into probation.contact (offender_id, contact_type, happened_at, minutes, notes)"
        " select min(offender_id), 'PHONE', timestamptz '2020-01-01 00:00+00' + n * interval '1 minute', n % 480,"
        f" 'note ' || n from probation.offender, generate_series(1, {LARGE_ROWS}) n group by n"
    )
    return _number(system, "select count(*) from probation.contact")


def _number(system: System, query: str) -> int:
    with psycopg.connect(system.postgres.dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def _lose(system: System, table: TableName, *statements: str) -> None:
    """Change the source, and take the files that tell of it out of landing before anybody saw them."""
    folder = system.stack.environment.landing_dir / system.spec.folder / table.schema / table.table
    before = set(folder.glob("*.parquet"))
    system.execute(*statements)
    system.flush()
    lost = set(folder.glob("*.parquet")) - before
    assert lost, f"no file told of {statements}"
    for path in lost:
        path.unlink()


def _rows(system: System, table: TableName) -> Found:
    _lose(system, table, f"insert into {table} values ('ZZ99', 'Never delivered', 1, '2020-02-02')")
    return Found(missing=1, keys=frozenset({key_hash(["ZZ99"])}))


def _change(system: System, table: TableName) -> Found:
    _lose(system, table, f"update {table} set workload = workload + 1")
    return Found(different=_number(system, f"select count(*) from {table}"))


def _delete(system: System, table: TableName) -> Found:
    first = _number(system, f"select min(assessment_id) from {table}")
    _lose(system, table, f"delete from {table} where assessment_id = {first}")
    return Found(extra=1, keys=frozenset({key_hash([str(first)])}))


def _middle(system: System, table: TableName) -> Found:
    """Of three files one after the other, the second."""
    first = _number(system, f"select min(address_id) from {table}")
    change = "update {} set line = 'moved' where address_id = {}"
    system.execute(change.format(table, first))
    system.flush()
    _lose(system, table, change.format(table, first + 1))
    system.execute(change.format(table, first + 2))
    system.flush()
    return Found(different=1, keys=frozenset({key_hash([str(first + 1)])}))


def _large(system: System, table: TableName) -> Found:
    """A row that came, one that changed and one that went, among very many."""
    first = _number(system, f"select min(contact_id) from {table}")
    last = _number(system, f"select max(contact_id) from {table}")
    _lose(
        system,
        table,
        f"delete from {table} where contact_id = {first}",
        f"update {table} set minutes = coalesce(minutes, 0) + 1 where contact_id = {first + LARGE_ROWS // 2}",
        f"insert into {table} (contact_id, offender_id, contact_type, happened_at)"
        f" select {last + 1000}, min(offender_id), 'HOME', now() from probation.offender",
    )
    keys = [first, first + LARGE_ROWS // 2, last + 1000]
    return Found(1, 1, 1, frozenset(key_hash([str(key)]) for key in keys), method="digests")


def _key(system: System, table: TableName) -> Found:
    """As AWS DMS writes it, which `Strict` makes Local DMS do: an update of the new key."""
    first = _number(system, f"select min(value_id) from {table}")
    system.execute(f"update {table} set value_id = value_id + 1000000 where value_id = {first}")
    return Found(extra=1, keys=frozenset({key_hash([str(first)])}))


def _truncate(system: System, table: TableName) -> Found:
    rows = _number(system, f"select count(*) from {table}")
    system.execute(f"truncate {table}")
    return Found(extra=rows)


def _rewrite(system: System, table: TableName) -> Found:
    rows = _number(system, f"select count(*) from {table} where name <> upper(name)")
    system.execute(f"alter table {table} alter column name type text using upper(name)")
    return Found(different=rows)


FAULTS = [
    Fault("rows never delivered", TableName("probation", "region"), _rows),
    Fault("a change never delivered", TableName("probation", "practitioner"), _change),
    Fault("a delete never delivered", TableName("probation", "assessment"), _delete),
    Fault("a file missing between others", TableName("probation", "address"), _middle),
    Fault("a few rows of a large table", TableName("probation", "contact"), _large),
    Fault("an update of a key as AWS DMS writes it", TableName("probation", "migrated_value"), _key),
    Fault("truncated", TableName("probation", "payment"), _truncate),
    Fault("rewritten by DDL", TableName("probation", "office"), _rewrite),
]
