"""What a transaction of the workload works with: its cursor, its random generator, and how it finds rows."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from dms_assets.sample import values

Cursor = psycopg.Cursor[tuple[Any, ...]]


class NothingToDoError(Exception):
    """The transaction found no row to work on."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a transaction works with: a cursor in an open transaction and this session's random generator."""

    cursor: Cursor
    rng: random.Random
    offenders: int
    practitioners: int

    def one(self, query: LiteralString, *arguments: object) -> tuple[Any, ...]:
        """The first row of a query. Raises NothingToDoError if there is none."""
        row = self.cursor.execute(query, arguments).fetchone()
        if row is None:
            raise NothingToDoError(query)
        return row

    def run(self, query: LiteralString, *arguments: object) -> int:
        """Run a statement; the number of rows it touched."""
        return self.cursor.execute(query, arguments).rowcount

    def offender(self) -> int:
        """An offender, locked: the first free one at or after a random number, popular ones more often."""
        at = values.skewed(self.rng, self.offenders)
        query: LiteralString = (
            "select offender_id from probation.offender where offender_id >= %s"
            " order by offender_id limit 1 for update skip locked"
        )
        return int(self.one(query, at)[0])

    def contact(self) -> int:
        """A contact, locked."""
        at = self.rng.random()
        query: LiteralString = (
            "select contact_id from probation.contact where contact_id >= 1 + (%s::float8 * ("
            "select max(contact_id) - 1 from probation.contact))::bigint order by contact_id limit 1"
            " for update skip locked"
        )
        return int(self.one(query, at)[0])

    def practitioner(self) -> int:
        """Someone of the staff (none is ever removed)."""
        return self.rng.randrange(1, self.practitioners + 1)

    def audit(self, action: str, entity: str, detail: dict[str, object] | None = None) -> None:
        """A line in the log without a key."""
        query: LiteralString = (
            "insert into probation.audit_event (occurred_at, actor, action, entity, duration_ms, detail)"
            " values (clock_timestamp(), %s, %s, %s, %s, %s)"
        )
        text = None if detail is None else json.dumps(detail, indent=1)
        actor = f"S{self.practitioner():05d}"
        self.run(query, actor, action, f"{entity}/{self.rng.getrandbits(48):012x}", self.rng.expovariate(0.1), text)
