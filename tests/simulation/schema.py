"""Random tables: columns, key, replica identity."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.simulation.columns import KEYS, LARGE, NAMES, SMALL, Values

LARGE_COLUMN = "large"


@dataclass(frozen=True)
class Column:
    """A column of a table; `values` makes one value, None in the place of a key column."""

    name: str
    type: str
    values: Values | None
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """A table of the simulated source. The key columns come first; a table without any is a log."""

    name: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    full_identity: bool

    @property
    def large(self) -> bool:
        """Whether it has a column of values that PostgreSQL stores out of line."""
        return any(column.name == LARGE_COLUMN for column in self.columns)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        return self.columns[: len(self.keys)]

    def key(self, number: int) -> list[str]:
        """The key of a number; different numbers have different keys."""
        return [KEYS[column.type](number) for column in self.key_columns]

    def values(self, random: Random) -> list[str | None]:
        """Values of all columns but the key's."""
        found: list[str | None] = []
        for column in self.columns[len(self.keys) :]:
            assert column.values is not None
            found.append(None if column.nullable and random.random() < 0.2 else column.values(random))
        return found


def rewritten_column(table: Table) -> Column | None:
    """The column whose values DDL rewrites, if the table has one that may be."""
    return next((c for c in table.columns if c.type == "text" and c.name not in table.keys), None)


def random_tables(random: Random, count: int) -> list[Table]:
    return [_table(random, f"t{number}", log=number == count - 1 and random.random() < 0.4) for number in range(count)]


def _table(random: Random, name: str, *, log: bool) -> Table:
    names = random.sample(NAMES, 6)
    types = (
        [] if log else random.choice([["integer"], ["bigint"], ["text"], ["uuid"], ["numeric(12,2)"], ["timestamptz"]])
    )
    if not log and random.random() < 0.4:
        # The first column tells keys apart; the second repeats.
        types = [*types, "date"]
    keys = [Column(name, kind, None, nullable=False) for name, kind in zip(names, types, strict=False)]
    large = not log and random.random() < 0.4
    rest = []
    for column in names[len(keys) : len(keys) + random.randint(1, 4)]:
        kind = random.choice(sorted(SMALL))
        rest.append(Column(column, kind, SMALL[kind], nullable=random.random() < 0.7))
    if large:
        kind = random.choice(sorted(LARGE))
        rest.append(Column(LARGE_COLUMN, kind, LARGE[kind]))
    return Table(
        name, (*keys, *rest), tuple(column.name for column in keys), full_identity=large or random.random() < 0.3
    )
