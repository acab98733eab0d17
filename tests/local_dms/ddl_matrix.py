"""Every change of definition, between transactions, inside one, and while the task is down; as far as curated.

Each change in curated must be the image the source had when it was written, under the names that columns had then.
The comparison with the live source tells which tables differ, and a reload makes them equal; a table whose column got
another type is held first, and takes the remedy that it names.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from dms_assets.lake.quarantine import EntryState
from dms_assets.model.names import Layer, TableName, warehouse_schema
from dms_assets.reconcile.compare import open_warehouse
from tests.local_dms.ddl_cases import CASES, QUICK, Ddl, Effect
from tests.local_dms.to_curated import SCHEMA, SOURCE, ToCurated

PLACES = ("between", "inside", "down")
CLUSTERS = "cluster"
HELD = frozenset({Effect.TYPE, Effect.UNTOLD})
FLAGGED = HELD | {Effect.REWRITES, Effect.SHAPE, Effect.MOVES}
Row = dict[str, Any]


@dataclass
class Subject:
    """A table of its own for a case at a place. `images` are its changes, as the source had them."""

    case: Ddl
    place: str
    number: int
    images: list[Row] = field(default_factory=list)
    refused: str = ""

    def __str__(self) -> str:
        return f"{self.case.name}, {self.place}"

    @property
    def before(self) -> TableName:
        """The table as it is made."""
        return TableName(SCHEMA, f"t{self.number}_{self.place}")

    @property
    def after(self) -> TableName:
        """What the statement makes of its name."""
        return TableName(SCHEMA, self.case.table.format(t=self.before.table))


@dataclass
class Ddls:
    """What was found. `wrong` names rows under wrong columns, and verdicts that are not what the statement does."""

    observed: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    flagged: int = 0
    held: int = 0
    repaired: int = 0
    rows: int = 0
    control: int = 0
    """Rows told to be wrong when two values of a right one are exchanged."""


def subjects(*, quick: bool, seed: int) -> list[Subject]:
    """All cases at all places where they can be; some of them, and each at one place, if it is quick."""
    every = [
        Subject(case, place, number)
        for number, case in enumerate(CASES)
        for place in PLACES
        if not (case.alone and place == "inside")
    ]
    if not quick:
        return every
    return [one for one in every if one.place == _chosen_place(one.number, seed) and one.case.name in QUICK]


def _chosen_place(number: int, seed: int) -> str:
    return PLACES[(number + seed) % len(PLACES)]


def make(source: psycopg.Connection[Any], subject: Subject) -> None:
    """The table, with rows to load: each value names its column."""
    table = subject.before.table
    source.execute(f"create table {table} (id integer primary key, a text, b text, n integer)".encode())
    source.execute(f"insert into {table} select g, 'a:' || g, 'b:' || g, g from generate_series(1, 5) g".encode())


def act(source: psycopg.Connection[Any], subject: Subject) -> None:
    """A row before the statement, the statement, a row and an update after it."""
    with source.transaction() if subject.place == "inside" else nullcontext():
        _write(source, subject.before, subject, 100, "I")
        try:
            with nullcontext() if subject.case.alone else source.transaction():
                source.execute(subject.case.statement.format(t=subject.before.table).encode())
                if subject.case.name == CLUSTERS:
                    source.execute(f"cluster {subject.before.table}".encode())
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            subject.refused = str(error)
        _write(source, subject.after, subject, 101, "I")
        _write(source, subject.after, subject, 1, "U")


def _write(source: psycopg.Connection[Any], table: TableName, subject: Subject, key: int, op: str) -> None:
    columns = source.execute(
        "select attname, format_type(atttypid, null) from pg_attribute where attrelid = %s::regclass and attnum > 0 "
        "and not attisdropped and attgenerated = '' and attname <> 'id' order by attnum",
        [table.table],
    ).fetchall()
    values = {name: _value(name, kind, key, op) for name, kind in columns}
    if op == "I":
        names, marks = ", ".join(["id", *values]), ", ".join(["%s"] * (len(values) + 1))
        source.execute(f"insert into {table} ({names}) values ({marks})".encode(), [key, *values.values()])
    else:
        given = ", ".join(f"{name} = %s" for name in values)
        done = source.execute(f"update {table} set {given} where id = {key}".encode(), list(values.values()))
        if not done.rowcount:
            return
    subject.images.append({"id": key, **values})


def _value(name: str, kind: str, key: int, op: str) -> Any:
    if kind in {"integer", "bigint"}:
        return zlib.crc32(f"{name}{key}{op}".encode()) % 1_000_000
    return f"{name}:{key}:{op}"


def curated_changes(world: ToCurated, subject: Subject) -> list[Row]:
    """The rows that changes of the table brought to curated. What the platform adds is left out."""
    found: list[Row] = []
    schema = warehouse_schema(SOURCE, SCHEMA, Layer.CURATED)
    with open_warehouse(world.installation.environment.published_file) as connection:
        for name in {subject.before, subject.after} & world.tables.keys():
            relation = f"{schema}.{name.table}_versions"
            cursor = connection.execute(f"select * from {relation} where _op in ('I', 'U')")
            names = [column[0] for column in cursor.description or ()]
            for values in cursor.fetchall():
                row = dict(zip(names, values, strict=True))
                found.append({column: value for column, value in row.items() if not column.startswith("_")})
    return found


def strangers(images: Collection[Row], here: Collection[Row], columns: Collection[str]) -> list[str]:
    """Rows in curated that the source never had in this form. A column that was not there then is null.

    `columns` are those that curated follows: of others it keeps what it had.
    """

    def form(row: Row) -> tuple[str, ...]:
        return tuple(sorted(f"{n}={value!r}" for n, value in row.items() if n in columns and value is not None))

    known = {form(row) for row in images}
    return [f"{row} is no row the source had" for row in here if form(row) not in known]


def run_matrix(folder: Path, *, quick: bool, seed: int) -> Ddls:
    """All of it in one source, with one task."""
    every = subjects(quick=quick, seed=seed)
    found = Ddls()
    names = dict.fromkeys(name.table for subject in every for name in (subject.before, subject.after))
    with ToCurated(folder, list(names)) as world:
        for subject in every:
            make(world.source, subject)
        world.read_metadata()
        world.start()
        world.ingest()
        world.build()
        if early := world.unequal(world.state()):
            found.wrong.append(f"different before anything was done: {', '.join(map(str, early))}")
        _change(world, every)
        # By the metadata of before, as sensors do it that run all the time.
        world.ingest()
        rejected = world.quarantine.held_tables().keys()
        world.read_metadata()
        world.ingest()
        held = world.quarantine.held_tables().keys()
        found.observed["tables held until metadata was read"] = len(rejected - held)
        world.build()
        differing = world.unequal(world.state()).keys() | world.gone
        flagged = [subject for subject in every if _judge(found, world, subject, differing, held)]
        found.flagged, found.held = len(flagged), len(held)
        _repair(found, world, flagged)
    return found


def _change(world: ToCurated, every: Sequence[Subject]) -> None:
    for subject in every:
        if subject.place != "down":
            act(world.source, subject)
    world.captured()
    world.stop()
    for subject in every:
        if subject.place == "down":
            act(world.source, subject)
    world.resume({subject.after for subject in every})
    world.captured()


def _judge(
    found: Ddls, world: ToCurated, subject: Subject, differing: Collection[TableName], held: Collection[TableName]
) -> bool:
    """Look at one table's changes in curated, and whether it is flagged and held as its statement says."""
    effect = subject.case.effect
    here = curated_changes(world, subject)
    found.observed[f"{subject.place}: {effect}"] += 1
    found.rows += len(here)
    if bool(subject.refused) != (effect is Effect.REFUSED):
        found.wrong.append(f"{subject}: refused: {subject.refused or 'no'}")
    latest = subject.after if subject.after in world.tables else subject.before
    columns = {column.name for column in world.tables[latest].columns}
    found.wrong += [f"{subject}: {told}" for told in strangers(subject.images, here, columns)]
    if here and not found.control and {"a", "b"} <= columns:
        exchanged = {**here[0], "a": here[0]["b"], "b": here[0]["a"]}
        found.control = len(strangers(subject.images, [exchanged], columns))
    is_held = subject.before in held
    if is_held != (effect in HELD) or (subject.before in world.stopped) != (effect is Effect.TYPE):
        found.wrong.append(
            f"{subject}: {'' if is_held else 'not '}held, {world.stopped.get(subject.before, 'goes on')}"
        )
    if effect is Effect.MOVES and subject.place != "down":
        # What was written by the new name until the table was suspended, a second later at most, is there or not.
        _judge_moved(found, world, subject)
    elif not is_held and len(here) != len(subject.images):
        found.wrong.append(f"{subject}: {len(here)} changes, not {len(subject.images)}")
    flagged = subject.before in differing
    if flagged != (effect in FLAGGED):
        found.wrong.append(f"{subject}: {'' if flagged else 'not '}flagged by the comparison")
    return flagged


def _judge_moved(found: Ddls, world: ToCurated, subject: Subject) -> None:
    told = f"Table {subject.before}: it was renamed in the source, to {subject.after}"
    times = sum(told in message for message in world.events())
    found.observed["suspended for its new name"] += times
    if times != 1:
        found.wrong.append(f"{subject}: told {times} times that it has a new name")


def _repair(found: Ddls, world: ToCurated, flagged: Sequence[Subject]) -> None:
    """A reload of every table that differs; before it, the remedy for those that cannot follow their source."""
    for subject in flagged:
        if typed := subject.case.typed:
            world.source.execute(f"alter table {subject.before.table} rename {typed} to {typed}_new".encode())
    world.read_metadata()
    world.stop()
    world.provision()
    world.resume()
    world.ingest()
    for entry in world.quarantine.entries():
        if entry.state is EntryState.OPEN:
            reason = "no table has this form any more; the table is loaded again"
            world.quarantine.decide(entry, EntryState.DISCARD, reason, "me", datetime.now(UTC))
            found.observed["files discarded before a reload"] += 1
    world.reload({subject.after for subject in flagged})
    world.ingest()
    world.build()
    differing = world.unequal(world.state())
    for subject in flagged:
        if subject.after in differing or subject.after in world.stopped:
            found.wrong.append(f"{subject}: still different after a reload")
        else:
            found.repaired += 1
            found.observed[f"repaired: {subject.case.effect}"] += 1
