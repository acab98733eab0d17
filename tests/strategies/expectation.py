"""What curated must show after a batch, from the source's commits; and for which keys nothing is promised then.

Nothing is promised for a key at an instant

- while the commit clock that stamped its changes went back, or the clock of a load's boundary differed from it;
- in the span of a load that was not read at its boundary;
- from a change that no stream captured until a later load is visible;
- from a change that is not delivered yet, or of which a redelivery is under way.

Keys are judged one by one, so that what is left is promised sharply.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from tests.strategies.source_model import EPOCH, Commit, Content, Delivery, Key, LoadRun, World

FOR_EVER = 2**62
Span = tuple[int, int]


def microseconds(at: object) -> int:
    return round((at - EPOCH).total_seconds() * 1_000_000)  # type: ignore[operator]


@dataclass
class _Unit:
    """The changes that share an identity: of one transaction and key, or a single change."""

    at: int
    changes: list[tuple[int, int]]


class Oracle:
    """Knows the whole life and, for each thing delivered, its batch."""

    def __init__(self, world: World, batch_of: dict[int, int], batch_of_load: dict[str, int]) -> None:
        self._world = world
        self._batch_of = batch_of
        self._batch_of_load = batch_of_load
        self._copies: dict[tuple[int, int], list[Delivery]] = defaultdict(list)
        for item in world.items:
            for delivery in [] if isinstance(item, LoadRun) else item:
                self._copies[delivery.commit, delivery.ordinal].append(delivery)

    def state(self, at: int) -> dict[Key, Content]:
        """The fold of the commits with this commit time or an earlier one."""
        state: dict[Key, Content] = {}
        for commit in self._world.commits:
            if commit.at <= at:
                for change in commit.changes:
                    if change.op == "D":
                        state.pop(change.key, None)
                    else:
                        state[change.key] = change.content
        return state

    def instants(self) -> list[int]:
        """The instants at which something may go wrong."""
        times = {commit.at for commit in self._world.commits}
        for run in self._world.loads:
            times |= {microseconds(run.load.boundary_at), run.span_end}
        return sorted({time + off for time in times for off in (-1, 0, 1)})

    def unpromised(self, key: Key, batch: int) -> list[Span]:
        """The spans of time, [from, to), for which nothing is promised for a key after a batch."""
        touching = [commit for commit in self._world.commits if any(change.key == key for change in commit.changes)]
        loads = [run for run in self._world.loads if self._batch_of_load[run.load.load_id] <= batch]
        return [
            *self._lost(key, touching, loads),
            *self._read_late(key, touching, loads),
            *self._clocks(key, touching, loads, batch),
            *self._incomplete(key, touching, loads, batch),
        ]

    def _lost(self, key: Key, touching: list[Commit], loads: list[LoadRun]) -> list[Span]:
        spans = []
        for commit in touching:
            if commit.stream is None:
                ends = [
                    max([_boundary(run), *(other.at for other in touching if other.index < run.read[key])])
                    for run in loads
                    if run.read[key] > commit.index
                ]
                spans.append((commit.at, min(ends, default=FOR_EVER)))
        return spans

    def _read_late(self, key: Key, touching: list[Commit], loads: list[LoadRun]) -> list[Span]:
        spans = []
        for run in loads:
            if not run.exact:
                spans.append((_boundary(run), run.span_end))
            spans += [(_boundary(run), commit.at) for commit in touching if commit.index < run.read[key]]
        return spans

    def _clocks(self, key: Key, touching: list[Commit], loads: list[LoadRun], batch: int) -> list[Span]:
        spans = []
        for commit in touching:
            if commit.stream is not None:
                before = [other.at for other in touching if other.stream is not None and other.index < commit.index]
                before += [_boundary(run) for run in loads if self._follows(key, commit, run, batch)]
                spans.append((commit.at, max(before, default=commit.at)))
        return spans

    def _follows(self, key: Key, commit: Commit, run: LoadRun, batch: int) -> bool:
        assert commit.stream is not None
        if run.load.stream != commit.stream or not run.load.boundary_seq:
            return run.load.stream <= commit.stream
        seqs = [
            copy.seq
            for ordinal, change in enumerate(commit.changes)
            for copy in self._copies[commit.index, ordinal]
            if change.key == key and self._batch_of[copy.order] <= batch
        ]
        return any(seq is not None and seq >= run.load.boundary_seq for seq in seqs)

    def _incomplete(self, key: Key, touching: list[Commit], loads: list[LoadRun], batch: int) -> list[Span]:
        units = self._units(key, touching)
        spans = []
        for index, unit in enumerate(units):
            if self._in_order(unit, batch):
                continue
            healed = FOR_EVER
            if not self._delivered(unit, batch):
                after = next((later for later in units[index + 1 :] if self._in_order(later, batch)), None)
                if after:
                    times = [commit.at for commit in touching if commit.index <= after.changes[-1][0]]
                    healed = max([*times, *(_boundary(run) for run in loads)])
            spans.append((unit.at, healed))
        return spans

    def _units(self, key: Key, touching: list[Commit]) -> list[_Unit]:
        units: dict[object, _Unit] = {}
        for commit in touching:
            for ordinal, change in enumerate(commit.changes):
                if change.key == key and commit.stream is not None:
                    name = (commit.stream, commit.at, position_text(self._world, commit, ordinal))
                    identity = (commit.index, ordinal) if self._world.setup.unique_positions else name
                    units.setdefault(identity, _Unit(commit.at, [])).changes.append((commit.index, ordinal))
        return list(units.values())

    def _rows(self, unit: _Unit) -> list[Delivery]:
        return sorted((copy for change in unit.changes for copy in self._copies[change]), key=lambda copy: copy.order)

    def _delivered(self, unit: _Unit, batch: int) -> list[Delivery]:
        return [copy for copy in self._rows(unit) if self._batch_of[copy.order] <= batch]

    def _in_order(self, unit: _Unit, batch: int) -> bool:
        """Whether all changes are in, no copy sent before is missing, and the last copy ends with the last change."""
        delivered = self._delivered(unit, batch)
        if {(copy.commit, copy.ordinal) for copy in delivered} != set(unit.changes):
            return False
        last = delivered[-1]
        sent = [copy for copy in self._rows(unit) if copy.order <= last.order]
        return sent == delivered and (last.commit, last.ordinal) == unit.changes[-1]


def position_text(world: World, commit: Commit, ordinal: int) -> str | None:
    """The stream position of a change, by the setup's habit."""
    match world.setup.positions:
        case "missing":
            return None
        case "change":
            return f"{commit.position:08X}/{ordinal}"
        case "statement":
            return f"{commit.position:08X}/{commit.changes[ordinal].statement}"
    return f"{commit.position:08X}"


def _boundary(run: LoadRun) -> int:
    return microseconds(run.load.boundary_at)
