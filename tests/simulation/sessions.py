"""Sessions of the source: statements of several transactions, interleaved by one thread, so that a seed repeats."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql

from tests.simulation.columns import KEY_NUMBERS
from tests.simulation.schema import Column, Table
from tests.simulation.steps import SESSIONS, Do, Step

SCHEMA = "sim"
SPARE = KEY_NUMBERS - 1
"""The key that a swap passes through; no step chooses it."""
BULK_ROWS = 3_000


def relation(table: Table) -> sql.Identifier:
    """A table's name in a statement."""
    return sql.Identifier(SCHEMA, table.name)


def _column(column: Column) -> sql.SQL:
    """A column's name in a statement with parameters, where a percent sign is written twice."""
    return sql.SQL(cast("LiteralString", sql.Identifier(column.name).as_string().replace("%", "%%")))


def _row(columns: Sequence[Column]) -> sql.Composed:
    values: list[sql.Composable] = [
        sql.SQL("%s::{}").format(sql.SQL(cast("LiteralString", column.type))) for column in columns
    ]
    return sql.SQL(", ").join(values)


class Sessions:
    """Open transactions on the source. A statement that fails or waits for a lock leaves no trace."""

    def __init__(self, dsn: str, tables: Sequence[Table]) -> None:
        self.tables = list(tables)
        self._dsn = dsn
        self._open = [self._connect() for _ in range(SESSIONS)]
        self._marked = [False] * SESSIONS
        self.prepared: list[str] = []
        self._bulky: set[str] = set()
        self.admin = self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._dsn, autocommit=True)
        connection.execute("set lock_timeout = '50ms'")
        return connection

    def create_tables(self) -> None:
        self.admin.execute(f"create schema {SCHEMA}")
        for table in self.tables:
            parts = [
                sql.SQL("{} {} {}").format(
                    sql.Identifier(column.name),
                    sql.SQL(cast("LiteralString", column.type)),
                    sql.SQL("null" if column.nullable else "not null"),
                )
                for column in table.columns
            ]
            if table.keys:
                key = sql.SQL(", ").join(map(sql.Identifier, table.keys))
                parts.append(sql.SQL("primary key ({})").format(key))
            name = relation(table)
            self.admin.execute(sql.SQL("create table {} ({})").format(name, sql.SQL(", ").join(parts)))
            if table.full_identity and table.keys:
                self.identify_rows(table, "full")

    def identify_rows(self, table: Table, identity: LiteralString) -> None:
        """Set what the log names a table's rows by: full, default, nothing. Waits for whoever reads the table."""
        with self.admin.transaction():
            self.admin.execute("set local lock_timeout = '20s'")
            self.admin.execute(sql.SQL("alter table {} replica identity {}").format(relation(table), sql.SQL(identity)))

    def bulk(self, step: Step) -> bool:
        """Thousands of rows come in one transaction, or, if they are there, go in one; whether it took effect."""
        table, random = self.tables[step.table], Random(step.seed)
        if not table.keys or table.large:
            return False
        keys = [table.key(number) for number in range(KEY_NUMBERS, KEY_NUMBERS + BULK_ROWS)]
        try:
            with self.admin.transaction():
                if table.name in self._bulky:
                    first = table.key_columns[0]
                    gone = sql.SQL("delete from {} where {} = any(%s::{}[])").format(
                        relation(table), _column(first), sql.SQL(cast("LiteralString", first.type))
                    )
                    self.admin.execute(gone, [[key[0] for key in keys]])
                else:
                    self._copy(self.admin, table, [[*key, *table.values(random)] for key in keys])
        except psycopg.errors.LockNotAvailable:
            return False
        self._bulky ^= {table.name}
        return True

    def _copy(self, connection: psycopg.Connection[Any], table: Table, rows: Sequence[Sequence[str | None]]) -> None:
        columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
        into = sql.SQL("copy {} ({}) from stdin").format(relation(table), columns)
        with connection.cursor().copy(into) as copy:
            for row in rows:
                copy.write_row(row)

    def run(self, step: Step) -> bool:
        """Run one statement's step; whether it took effect."""
        connection = self._open[step.session]
        idle = connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
        match step.do:
            case Do.COMMIT | Do.ROLLBACK | Do.PREPARE:
                return not idle and self._end(connection, step)
            case Do.SAVEPOINT | Do.ROLLBACK_TO:
                return not idle and self._savepoint(connection, step)
            case _:
                if idle:
                    connection.execute("begin")
                    self._marked[step.session] = False
                return self._statement(connection, step)

    def _end(self, connection: psycopg.Connection[Any], step: Step) -> bool:
        if step.do is Do.PREPARE:
            name = f"p{step.seed}"
            connection.execute(sql.SQL("prepare transaction {}").format(sql.Literal(name)))
            self.prepared.append(name)
        else:
            connection.execute("commit" if step.do is Do.COMMIT else "rollback")
        return True

    def _savepoint(self, connection: psycopg.Connection[Any], step: Step) -> bool:
        if step.do is Do.ROLLBACK_TO and not self._marked[step.session]:
            return False
        connection.execute("savepoint s" if step.do is Do.SAVEPOINT else "rollback to s")
        self._marked[step.session] = True
        return True

    def _statement(self, connection: psycopg.Connection[Any], step: Step) -> bool:
        table = self.tables[step.table]
        if not table.keys and step.do not in {Do.INSERT, Do.COPY}:
            # A table without a key is a log: nothing else could be told apart in it.
            return False
        connection.execute("savepoint attempt")
        try:
            self._change(connection, step, table)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
            connection.execute("rollback to attempt")
            return False
        connection.execute("release attempt")
        return True

    def _change(self, connection: psycopg.Connection[Any], step: Step, table: Table) -> None:
        random, number = Random(step.seed), step.number % SPARE
        name, rest = relation(table), table.columns[len(table.keys) :]
        insert = sql.SQL("insert into {} values ({})").format(name, _row(table.columns))
        match step.do:
            case Do.INSERT:
                connection.execute(insert, [*table.key(number), *table.values(random)])
            case Do.UPSERT:
                delete = sql.SQL("delete from {} where ").format(name) + self._is_key(table)
                connection.execute(delete, table.key(number))
                connection.execute(insert, [*table.key(number), *table.values(random)])
            case Do.COPY:
                numbers = random.sample(range(SPARE), 20)
                self._copy(connection, table, [[*table.key(n), *table.values(random)] for n in numbers])
            case Do.UPDATE | Do.UPDATE_MANY:
                # Some columns only, so that unchanged large values stay where they are.
                chosen = random.sample(range(len(rest)), random.randint(1, len(rest)))
                values = table.values(random)
                sets = sql.SQL(", ").join(sql.SQL("{} = {}").format(_column(rest[n]), _row([rest[n]])) for n in chosen)
                update = sql.SQL("update {} set {}").format(name, sets)
                given: list[Any] = [values[n] for n in chosen]
                if step.do is Do.UPDATE:
                    update += sql.SQL(" where ") + self._is_key(table)
                    given += table.key(number)
                connection.execute(update, given)
            case Do.DELETE:
                connection.execute(
                    sql.SQL("delete from {} where ").format(name) + self._is_key(table), table.key(number)
                )
            case Do.DELETE_MANY:
                connection.execute(
                    sql.SQL("delete from {} where ctid in (select ctid from {} limit 5)").format(name, name)
                )
            case Do.MOVE:
                self._move(connection, table, number, random.randrange(SPARE))
            case Do.SWAP:
                other = random.randrange(SPARE)
                self._move(connection, table, number, SPARE)
                self._move(connection, table, other, number)
                self._move(connection, table, SPARE, other)
            case _:
                raise AssertionError(step)

    def _move(self, connection: psycopg.Connection[Any], table: Table, old: int, new: int) -> None:
        sets = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(_column(column), _row([column])) for column in table.key_columns
        )
        update = sql.SQL("update {} set {} where ").format(relation(table), sets) + self._is_key(table)
        connection.execute(update, [*table.key(new), *table.key(old)])

    @staticmethod
    def _is_key(table: Table) -> sql.Composed:
        return sql.SQL(" and ").join(
            sql.SQL("{} = {}").format(_column(column), _row([column])) for column in table.key_columns
        )

    def resolve_prepared(self, step: Step) -> bool:
        """Commit or roll back what was prepared first."""
        if not self.prepared:
            return False
        how = sql.SQL("commit" if step.do is Do.COMMIT_PREPARED else "rollback")
        self.admin.execute(how + sql.SQL(" prepared ") + sql.Literal(self.prepared.pop(0)))
        return True

    def end_all(self) -> None:
        """Commit what is open or prepared."""
        for connection in self._open:
            connection.execute("commit")
        for name in self.prepared:
            self.admin.execute(sql.SQL("commit prepared {}").format(sql.Literal(name)))
        self.prepared.clear()

    def close(self) -> None:
        """Roll back what is open or prepared, and disconnect."""
        for connection in self._open:
            connection.close()
        for name in self.prepared:
            self.admin.execute(sql.SQL("rollback prepared {}").format(sql.Literal(name)))
        self.admin.close()
