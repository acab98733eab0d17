"""What happens in a simulation, as data: made from a seed, cut down when it fails, run again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from tests.simulation.columns import KEY_NUMBERS
from tests.simulation.schema import Table, random_tables

SESSIONS = 3
TABLES = 3
ROWS_BEFORE = 6
"""So many rows, at most, has each table before its first load."""


class Do(StrEnum):
    """Kinds of steps. Those up to TRUNCATE are statements of one session."""

    INSERT = "insert"
    UPSERT = "upsert"
    UPDATE = "update"
    UPDATE_MANY = "update many"
    DELETE = "delete"
    DELETE_MANY = "delete many"
    MOVE = "move a key"
    SWAP = "swap two keys"
    COPY = "copy rows in"
    SAVEPOINT = "savepoint"
    ROLLBACK_TO = "roll back to the savepoint"
    COMMIT = "commit"
    ROLLBACK = "roll back"
    PREPARE = "prepare"
    TRUNCATE = "truncate"
    REWRITE = "rewrite by DDL"
    ADD_COLUMN = "add a column"
    QUIET_DDL = "change no row by DDL"
    COMMIT_PREPARED = "commit what is prepared"
    ROLLBACK_PREPARED = "roll back what is prepared"
    BULK = "thousands of rows in one transaction"
    RECORD = "record the source"
    RELOAD = "reload a table"
    AFRESH = "begin a new stream"
    RESUME = "stop and resume the task"
    KILL = "kill DMS at a failpoint"
    INGEST = "take in some of the files"
    DUPLICATE = "a file is there twice"
    CURATE = "build curated"
    CHECKPOINT = "everything arrives; compare"


STATEMENTS = {
    Do.INSERT: 10,
    Do.UPSERT: 6,
    Do.UPDATE: 12,
    Do.UPDATE_MANY: 2,
    Do.DELETE: 5,
    Do.DELETE_MANY: 1,
    Do.MOVE: 4,
    Do.SWAP: 2,
    Do.COPY: 1,
    Do.SAVEPOINT: 3,
    Do.ROLLBACK_TO: 2,
    Do.COMMIT: 12,
    Do.ROLLBACK: 2,
    Do.PREPARE: 2,
}
EVENTS = {
    Do.COMMIT_PREPARED: 3,
    Do.ROLLBACK_PREPARED: 1,
    Do.BULK: 2,
    Do.RECORD: 3,
    Do.RELOAD: 2,
    Do.AFRESH: 1,
    Do.RESUME: 1,
    Do.KILL: 2,
    Do.INGEST: 4,
    Do.DUPLICATE: 1,
    Do.CURATE: 2,
    Do.TRUNCATE: 1,
    Do.REWRITE: 1,
    Do.ADD_COLUMN: 1,
    Do.QUIET_DDL: 2,
}
FAILPOINTS = ("local_dms.before_confirm", "local_dms.before_advance", "local_dms.between_files")


@dataclass(frozen=True)
class Step:
    """One step; what it chooses among what is there, it chooses by its own seed."""

    do: Do
    session: int
    table: int
    number: int
    seed: int

    def __str__(self) -> str:
        return f"{self.do} (session {self.session}, t{self.table}, {self.number}, seed {self.seed})"


@dataclass(frozen=True)
class Plan:
    """A whole simulation; `again` is the command that runs it again.

    `strict`: Local DMS writes key updates as AWS DMS does, under the new key only.
    """

    seed: int
    tables: tuple[Table, ...]
    steps: tuple[Step, ...]
    again: str
    before: tuple[Step, ...] = ()
    """Statements that are committed before the task exists: what the first load finds."""
    strict: bool = False


def make_plan(seed: int, length: int = 300, checkpoints: int = 3) -> Plan:
    """The simulation of a seed: the same for ever, for the same length."""
    random = Random(seed)
    tables = tuple(random_tables(random, TABLES))
    steps = []
    for number in range(length):
        # The first tenth fills tables; between statements, now and then, something else happens.
        kinds = {Do.INSERT: 5, Do.COPY: 1, Do.COMMIT: 2} if number < length // 10 else STATEMENTS
        if number >= length // 10 and random.random() < 0.2:
            kinds = EVENTS
        steps.append(_step(random, random.choices(list(kinds), list(kinds.values()))[0]))
        if (number + 1) % (length // checkpoints) == 0:
            steps += [_step(random, Do.RECORD), _step(random, Do.CHECKPOINT)]
    again = f"python -m tests.simulation --seed {seed} --length {length} --checkpoints {checkpoints}"
    first = Random(f"{seed} before")
    before = tuple(
        replace(_step(first, Do.INSERT), session=0, table=table) for table in range(TABLES) for _ in range(ROWS_BEFORE)
    )
    return Plan(seed, tables, tuple(steps), again, before)


def _step(random: Random, do: Do) -> Step:
    return Step(
        do, random.randrange(SESSIONS), random.randrange(TABLES), random.randrange(KEY_NUMBERS), random.getrandbits(32)
    )
