"""Every change of definition, between transactions, inside one, and while the task is down.

Each landed row must be the image the source had when it was written, under the names that columns had then. At the
end the comparison of source and log tells which tables differ, and a reload makes them equal.
"""

from __future__ import annotations

import zlib
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.local_dms.ddl_cases import CASES, Ddl, Effect
from tests.local_dms.service import ADDED, Service, folded, until

PLACES = ("between", "inside", "down")
CLUSTERS = "cluster"
WAIT_S = 120.0
Row = dict[str, Any]


@dataclass
class Subject:
    """A table of its own for a case at a place. `images` are its changes, as the source had them."""

    case: Ddl
    place: str
    name: str
    images: list[tuple[str, Row]] = field(default_factory=list)
    refused: str = ""

    @property
    def now(self) -> str:
        """What the table is called after the statement."""
        return self.name if self.refused else self.case.table.format(t=self.name)


@dataclass
class Ddls:
    """What was found. `wrong` names rows under wrong columns, and verdicts that are not what the statement does."""

    observed: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    diverged: int = 0
    held: int = 0
    rows: int = 0
    control: int = 0
    """Rows told to be wrong when two values of a right one are exchanged."""


def subjects() -> list[Subject]:
    """All cases at all places where they can be."""
    return [
        Subject(case, place, f"t{number}_{place}")
        for number, case in enumerate(CASES)
        for place in PLACES
        if not (case.alone and place == "inside")
    ]


def make(source: psycopg.Connection[Any], subject: Subject) -> None:
    """The table, with rows to load: each value names its column."""
    table = subject.name
    source.execute(f"create table {table} (id integer primary key, a text, b text, n integer)".encode())
    source.execute(f"insert into {table} select g, 'a:' || g, 'b:' || g, g from generate_series(1, 5) g".encode())


def act(source: psycopg.Connection[Any], subject: Subject) -> None:
    """A row before the statement, the statement, a row and an update after it."""
    if subject.place == "inside":
        with source.transaction():
            _act(source, subject)
    else:
        _act(source, subject)


def _act(source: psycopg.Connection[Any], subject: Subject) -> None:
    _write(source, subject.name, subject, 100, "I")
    try:
        with source.transaction() if not subject.case.alone else nullcontext():
            source.execute(subject.case.statement.format(t=subject.name).encode())
            if subject.case.name == CLUSTERS:
                source.execute(f"cluster {subject.name}".encode())
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        subject.refused = str(error)
    _write(source, subject.now, subject, 101, "I")
    _write(source, subject.now, subject, 1, "U")


def _write(source: psycopg.Connection[Any], table: str, subject: Subject, key: int, op: str) -> None:
    columns = source.execute(
        "select attname, format_type(atttypid, null) from pg_attribute where attrelid = %s::regclass and attnum > 0 "
        "and not attisdropped and attgenerated = '' and attname <> 'id' order by attnum",
        [table],
    ).fetchall()
    values = {name: _value(name, kind, key, op) for name, kind in columns}
    if op == "I":
        names, marks = ", ".join(["id", *values]), ", ".join(["%s"] * (len(values) + 1))
        source.execute(f"insert into {table} ({names}) values ({marks})".encode(), [key, *values.values()])
    else:
        given = ", ".join(f"{name} = %s" for name in values)
        source.execute(f"update {table} set {given} where id = {key}".encode(), list(values.values()))
    subject.images += [(op, row) for row in rows(source, table) if row["id"] == key]


def _value(name: str, kind: str, key: int, op: str) -> Any:
    if kind in {"integer", "bigint"}:
        return zlib.crc32(f"{name}{key}{op}".encode()) % 1_000_000
    return f"{name}:{key}:{op}"


def rows(source: psycopg.Connection[Any], table: str) -> list[Row]:
    """The table as the source has it."""
    cursor = source.execute(f"select * from {table}".encode())
    names = [column.name for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def landed(service: Service, task: str, subject: Subject) -> list[tuple[str, Row]]:
    """The changes in landing, in order."""
    names = {subject.name, subject.now}
    found = sorted((row for one in names for row in service.changes(task, one)), key=lambda row: row["dms_change_seq"])
    added = {*ADDED, "Op", "dms_timestamp"}
    return [(row["Op"], {name: value for name, value in row.items() if name not in added}) for row in found]


def strangers(images: list[tuple[str, Row]], here: list[tuple[str, Row]]) -> list[str]:
    """Landed rows that the source never had in this form."""

    def form(op: str, row: Row) -> tuple[str, ...]:
        return (op, *sorted(f"{name}={value!r}" for name, value in row.items()))

    known = {form(op, row) for op, row in images}
    return [f"{op} {row} is no row the source had" for op, row in here if form(op, row) not in known]


def differs(source: psycopg.Connection[Any], service: Service, task: str, subject: Subject, *, loaded: bool) -> bool:
    """Whether the log, followed to its end, is another table than the source; `loaded` when a reload was the last."""
    # A table with a new name is loaded by the resume, as a table of its own.
    changes = [] if loaded or subject.now != subject.name else service.changes(task, subject.name)
    state = folded(service.loads(task, subject.now), changes)
    wanted = {row["id"]: row for row in rows(source, subject.now)}
    return state.keys() != wanted.keys() or any(
        row.get(name) != value for key, row in state.items() for name, value in wanted[key].items()
    )


def run_matrix(service: Service, source: psycopg.Connection[Any], task: str) -> Ddls:
    """All of it, with one task."""
    source.execute("set search_path = app")
    every = subjects()
    for subject in every:
        make(source, subject)
    arn = service.task(task)
    service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    _settled(service, arn)
    for subject in every:
        if subject.place != "down":
            act(source, subject)
    service.stop(arn)
    for subject in every:
        if subject.place == "down":
            act(source, subject)
    found = Ddls()
    service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="resume-processing")
    service.wait(arn, "replication_task_running")
    _settled(service, arn)
    service.stop(arn)
    diverged = [subject for subject in every if _judge(found, source, service, (arn, task), subject)]
    _repair(found, source, service, (arn, task), diverged)
    service.client.delete_replication_task(ReplicationTaskArn=arn)
    return found


def _settled(service: Service, arn: str) -> None:
    """Wait until every table is loaded, or held: there are many of them."""
    ends = {"Table completed", "Table error"}
    until(lambda: (t := service.statistics(arn)) and all(one["TableState"] in ends for one in t.values()), WAIT_S)


def _judge(
    found: Ddls, source: psycopg.Connection[Any], service: Service, task: tuple[str, str], subject: Subject
) -> bool:
    """Look at one table's rows, and whether it differs as its statement says."""
    arn, name = task
    label = f"{subject.case.name}, {subject.place}"
    here = landed(service, name, subject)
    found.observed[f"{subject.place}: {subject.case.effect}"] += 1
    found.rows += len(here)
    held = service.statistics(arn).get(subject.name, {}).get("TableState") == "Table error"
    found.held += held
    if (bool(subject.refused)) != (subject.case.effect is Effect.REFUSED):
        found.wrong.append(f"{label}: refused: {subject.refused or 'no'}")
    found.wrong += [f"{label}: {told}" for told in strangers(subject.images, here)]
    if here and not found.control:
        op, row = here[0]
        found.control = len(strangers(subject.images, [(op, {**row, "a": row["b"], "b": row["a"]})]))
    if not held and len(here) != len(subject.images):
        found.wrong.append(f"{label}: {len(here)} changes, not {len(subject.images)}")
    different = differs(source, service, name, subject, loaded=False)
    if different != (subject.case.effect in {Effect.REWRITES, Effect.SHAPE} or held):
        found.wrong.append(f"{label}: {'' if different else 'not '}flagged by the comparison")
    found.diverged += different
    return different


def _repair(
    found: Ddls, source: psycopg.Connection[Any], service: Service, task: tuple[str, str], diverged: list[Subject]
) -> None:
    """A reload of every table that differs."""
    arn, name = task
    service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="resume-processing")
    service.wait(arn, "replication_task_running")
    for first in range(0, len(diverged), 10):
        wanted = [{"SchemaName": "app", "TableName": subject.name} for subject in diverged[first : first + 10]]
        service.client.reload_tables(ReplicationTaskArn=arn, TablesToReload=wanted)
    names = {subject.name for subject in diverged}
    until(
        lambda: all(
            one["FullLoadReloaded"] and one["TableState"] == "Table completed"
            for table, one in service.statistics(arn).items()
            if table in names
        ),
        WAIT_S,
    )
    service.stop(arn)
    for subject in diverged:
        if differs(source, service, name, subject, loaded=True):
            found.wrong.append(f"{subject.case.name}, {subject.place}: still different after a reload")
        else:
            found.observed["repaired by a reload"] += 1
