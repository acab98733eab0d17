"""Random schemas with hurting names, all the way; nothing but what was declared may come of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.validation.worker_process import ValidationWorker
from tests.identifiers import names, oracle
from tests.identifiers.declaring import Declared, WrongError, declare
from tests.identifiers.running import run_through
from tests.identifiers.schemas import Schema, create, relations


@dataclass
class Found:
    """What became of the schemas; `wrong` has a line for each that went otherwise than it should."""

    schemas: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __iadd__(self, other: Found) -> Found:
        self.schemas += other.schemas
        self.counts += other.counts
        self.wrong += other.wrong
        return self


@contextmanager
def fuzzed_source(folder: Path) -> Iterator[tuple[EmbeddedPostgres, psycopg.Connection[Any]]]:
    """A server with a canary, and one in the environment."""
    os.environ[names.CANARY_VARIABLE] = names.CANARY
    try:
        with EmbeddedPostgres(folder / "postgres") as server, psycopg.connect(server.dsn, autocommit=True) as admin:
            admin.execute("create table canary as select 'alive' as state")
            yield server, admin
    finally:
        del os.environ[names.CANARY_VARIABLE]


def fuzz(
    server: EmbeddedPostgres,
    admin: psycopg.Connection[Any],
    worker: ValidationWorker,
    folder: Path,
    schemas: Iterable[Schema],
) -> Found:
    """The schemas, through one dbt project."""
    found, declared = Found(), list[Declared]()
    before = relations(admin)
    for schema in schemas:
        create(admin, schema)
        before |= {(schema.name, table.name) for table in schema.declared}
        before |= {(schema.name, stranger) for stranger in schema.strangers}
        found.schemas += 1
        try:
            one = declare(server, admin, schema)
        except WrongError as error:
            found.wrong.append(str(error))
            continue
        found.counts["columns that need quotes"] += _hurting(schema)
        if one is None:
            found.counts["schemas refused"] += 1
        else:
            declared.append(one)
            found.counts.update(one.refused)
    try:
        found.counts["tables that came out as they are"] += run_through(folder, worker, declared)
    except WrongError as error:
        found.wrong.append(str(error))
    # A fix may have renamed some of them.
    now = relations(admin)
    if len(now) != len(before) or admin.execute("select state from public.canary").fetchall() != [("alive",)]:
        found.wrong.append(f"the source has other relations than it had: {now ^ before}")
    return found


def _hurting(schema: Schema) -> int:
    return sum(not oracle.plain(column) for table in schema.declared for column in table.columns)
