"""Column lineage as a graph of columns: what each is made of, up to the source, and what is made of it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

AssetPath = tuple[str, ...]
"""The parts of an asset key."""


@dataclass(frozen=True, slots=True, order=True)
class Column:
    """One column of one asset."""

    asset: AssetPath
    name: str


Made = Mapping[str, Sequence[Column]]
"""What each column of one asset is made of."""


@dataclass(frozen=True, slots=True)
class Step:
    """A column, and the steps it is made of."""

    column: Column
    upstream: tuple[Step, ...]


class LineageGraph:
    """The lineage of some assets. `made` gives what an asset's metadata says, None where it says nothing."""

    def __init__(self, made: Callable[[AssetPath], Made | None]) -> None:
        self._made = made
        self._known: dict[AssetPath, Made | None] = {}

    def of(self, asset: AssetPath) -> Made | None:
        """What the columns of an asset are made of; None where nobody said."""
        if asset not in self._known:
            self._known[asset] = self._made(asset)
        return self._known[asset]

    def direct(self, column: Column) -> tuple[Column, ...]:
        """The columns a column is made of, in order, each once."""
        return tuple(dict.fromkeys((self.of(column.asset) or {}).get(column.name, ())))

    def steps(self, column: Column) -> Step:
        """Everything behind a column; what is reached in several ways is followed the first time only."""
        return self._step(column, {column})

    def _step(self, column: Column, seen: set[Column]) -> Step:
        upstream = []
        for dependency in self.direct(column):
            if dependency in seen:
                upstream.append(Step(dependency, ()))
            else:
                seen.add(dependency)
                upstream.append(self._step(dependency, seen))
        return Step(column, tuple(upstream))

    def origins(self, column: Column) -> tuple[Column, ...]:
        """The columns that a column goes back to and that are made of nothing; none for one made of nothing itself."""
        seen, waiting, found = {column}, [column], set()
        while waiting:
            here = waiting.pop()
            behind = self.direct(here)
            if not behind and here != column:
                found.add(here)
            waiting += (new := [dependency for dependency in behind if dependency not in seen])
            seen.update(new)
        return tuple(sorted(found))

    def used_by(self, asset: AssetPath, downstream: Iterable[AssetPath]) -> dict[str, tuple[Column, ...]]:
        """The columns of some assets that are made of a column of this one, by its name."""
        users: defaultdict[str, set[Column]] = defaultdict(set)
        for other in downstream:
            for name, dependencies in (self.of(other) or {}).items():
                for dependency in dependencies:
                    if dependency.asset == asset:
                        users[dependency.name].add(Column(other, name))
        return {name: tuple(sorted(columns)) for name, columns in users.items()}
