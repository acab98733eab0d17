"""A naive source database with one table, and a naive DMS that reads it: what happened, without any rule of ours.

Times are whole microseconds of real time since `EPOCH`. Real time only rises; the source's commit clock need not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from dms_assets.model.load import Load, Stream, boundary, load_id
from dms_assets.model.names import TableName
from dms_assets.model.sequence import format_sequence, hundredths

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SKEW_S = 2.0
"""Bound of all clock errors, and the margin of early boundaries."""
CLOCK_ERROR = 1_000_000
TABLE = TableName("app", "thing")
KEYS = ((1, "a"), (1, "b"), (2, "a"), (3, ""))
NAMES = (None, "", "x", "y")
AMOUNTS = (None, 0.0, -0.0, 1.5, float("nan"))
STEPS = (1, 7_000, 10_000, 300_000, 1_500_000)

Key = tuple[object, ...]
Content = tuple[object, ...]


def instant(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


@dataclass(frozen=True)
class Setup:
    """What the world may do. `positions`: change | statement | commit | shared | missing. `clock`: steady | ties |
    coarse | back. `redelivery`: none | same | new (sequences). `ticks`: whose clock is in the sequences, real | commit.
    """

    name: str
    unique_positions: bool = False
    positions: str = "commit"
    sequences: bool = True
    clock: str = "steady"
    ticks: str = "real"
    redelivery: str = "none"
    shuffled: bool = False
    streams: bool = True
    reloads: bool = True
    exact_reloads: bool = False
    snapshots: bool = False
    keyless: bool = False


@dataclass(frozen=True)
class Change:
    op: str
    key: Key
    content: Content
    statement: int


@dataclass(frozen=True)
class Commit:
    index: int
    at: int
    changes: tuple[Change, ...]
    stream: int | None
    position: int


@dataclass(frozen=True)
class Delivery:
    """One copy of one change, in the order of emission."""

    order: int
    stream: int
    commit: int
    ordinal: int
    seq: str | None


@dataclass(frozen=True)
class LoadRun:
    """A finished load: `read[key]` commits were visible when the key was read. `exact`: all at the boundary itself."""

    load: Load
    read: dict[Key, int]
    contents: dict[Key, Content]
    exact: bool
    span_end: int


@dataclass
class _Running:
    started: int
    first: int
    snapshot: bool
    exact: bool
    boundary_at: datetime
    boundary_seq: str
    began: bool


@dataclass
class World:
    """Runs a random life; afterwards `commits`, `loads`, `items` and `states` tell what happened."""

    random: Random
    setup: Setup
    real: int = 0
    commits: list[Commit] = field(default_factory=list)
    states: list[dict[Key, Content]] = field(default_factory=lambda: [{}])
    streams: list[Stream] = field(default_factory=list)
    loads: list[LoadRun] = field(default_factory=list)
    items: list[list[Delivery] | LoadRun] = field(default_factory=list)
    """Landed files of changes, and finished loads, in the order in which they were written."""

    _stream: Stream | None = None
    _first_of_stream: int = 0
    _running: _Running | None = None
    _unwritten: list[Delivery] = field(default_factory=list)
    _sequences: dict[tuple[int, int], str | None] = field(default_factory=dict)
    _ticks: int = 0
    _counter: int = 0
    _emitted: int = 0

    def live(self) -> None:
        """From the first insert to the last file."""
        for _ in range(self.random.randint(0, 3)):
            self.commit()
        self.start_stream()
        for _ in range(self.random.randint(4, 22)):
            self.step()
        self.finish_load()
        self.write_file()

    def step(self) -> None:
        choice = self.random.random()
        if choice < 0.48:
            self.commit()
        elif choice < 0.60:
            self.write_file()
        elif choice < 0.70:
            self.finish_load()
        elif choice < 0.83 and self.setup.redelivery != "none":
            self.crash()
        elif choice < 0.91 and self.setup.reloads:
            self.start_load(began=False)
        elif choice < 0.96 and self.setup.streams:
            self.restart()
        else:
            self.commit()

    def _pass_time(self) -> None:
        self.real += self.random.choice(STEPS)

    # The source.

    def commit(self) -> None:
        """One transaction of one to four statements."""
        self._pass_time()
        state = dict(self.states[-1])
        changes: list[Change] = []
        for statement in range(self.random.randint(1, 4)):
            self._statement(state, changes, statement)
        position = len(self.commits) // 3 if self.setup.positions == "shared" else len(self.commits)
        at = self._commit_clock(position if self.setup.positions != "missing" else 0)
        stream = self._stream.ordinal if self._stream else None
        self.commits.append(Commit(len(self.commits), at, tuple(changes), stream, position))
        self.states.append(state)
        if self._stream:
            self._emit(len(self.commits) - 1)

    def _statement(self, state: dict[Key, Content], changes: list[Change], statement: int) -> None:
        key = self.random.choice(KEYS)
        content = (*key, self.random.choice(NAMES), self.random.choice(AMOUNTS))
        if key not in state:
            state[key] = content
            changes.append(Change("I", key, content, statement))
            return
        kind = self.random.random()
        other = self.random.choice(KEYS)
        if kind < 0.3 or (kind < 0.5 and other not in state):
            old = state.pop(key)
            image = old if self.random.random() < 0.5 else (*key, None, None)
            changes.append(Change("D", key, image, statement))
        if 0.3 <= kind < 0.5 and other not in state:  # a key update
            state[other] = (*other, *content[2:])
            changes.append(Change("I", other, state[other], statement))
        elif kind >= 0.3:
            state[key] = content
            changes.append(Change("U", key, content, statement))

    def _commit_clock(self, position: int) -> int:
        clock = self.setup.clock
        at = self.real
        if clock == "ties" and self.commits and self.random.random() < 0.5:
            last = self.commits[-1].at
            at = last if at - last <= CLOCK_ERROR else at
        elif clock == "coarse":
            at -= at % 1_000_000
        elif clock == "back":
            at += self.random.randint(-CLOCK_ERROR, CLOCK_ERROR)
        while self._ambiguous(at, position):
            at += 1
        return at

    def _ambiguous(self, at: int, position: int) -> bool:
        """Whether (time, position) names an earlier transaction that another one lies between.

        No rule can tell this from a redelivery: it needs a clock that goes back to the very microsecond, and
        positions that do not tell transactions apart.
        """
        same = [self._named(commit) == (at, position) for commit in self.commits]
        return True in same and not same[-1]

    def _named(self, commit: Commit) -> tuple[int, int]:
        return (commit.at, commit.position if self.setup.positions != "missing" else 0)

    # Change capture.

    def start_stream(self) -> None:
        self._pass_time()
        self._first_of_stream = len(self.commits)
        self._stream = Stream(len(self.streams) + 1, f"arn:task:{len(self.streams)}", instant(self.real))
        self.streams.append(self._stream)
        self._ticks = self._counter = 0
        self.start_load(began=True)

    def restart(self) -> None:
        """Another stream. What was committed between the two is lost."""
        self.write_file()
        self._stream = self._running = None
        for _ in range(self.random.choice((0, 0, 1, 3))):
            self.commit()
        self.start_stream()

    def next_sequence(self, ticks: int) -> str:
        self._ticks = max(self._ticks, ticks)
        self._counter += 1
        return format_sequence(self._ticks, self._counter)

    def _emit(self, commit: int) -> None:
        assert self._stream
        at = self.real if self.setup.ticks == "real" else self.commits[commit].at
        for ordinal in range(len(self.commits[commit].changes)):
            known = self._sequences.get((commit, ordinal))
            seq = known if known and self.setup.redelivery == "same" else self.next_sequence(hundredths(instant(at)))
            self._sequences[commit, ordinal] = seq
            shown = seq if self.setup.sequences else None
            self._unwritten.append(Delivery(self._emitted, self._stream.ordinal, commit, ordinal, shown))
            self._emitted += 1
            if self.random.random() < 0.15:
                self.write_file()

    def crash(self) -> None:
        """What is not written is lost, and everything from some transaction on is sent again."""
        if self.random.random() < 0.3:
            self.write_file()
        first = min([delivery.commit for delivery in self._unwritten], default=len(self.commits))
        self._unwritten.clear()
        self._pass_time()
        for commit in range(self.random.randint(self._first_of_stream, first), len(self.commits)):
            self._emit(commit)

    def write_file(self) -> None:
        if self._unwritten:
            self.items.append(list(self._unwritten))
            self._unwritten.clear()

    # Loads.

    def start_load(self, *, began: bool) -> None:
        if self._running or not self._stream:
            return
        exact = not began and self.setup.exact_reloads and self.random.random() < 0.5
        snapshot = self.setup.snapshots or self.random.random() < 0.3
        first = len(self.commits)
        if not began:
            self._pass_time()
        began_at = instant(self.real)
        boundary_seq = self.next_sequence(hundredths(began_at)) if exact else ""
        boundary_at = began_at
        if not exact:
            boundary_at, boundary_seq = boundary(self._stream, began_at, began_stream=began, clock_skew_s=SKEW_S)
        self._running = _Running(self.real, first, snapshot, exact or began, boundary_at, boundary_seq, began)

    def finish_load(self) -> None:
        if not self._running or not self._stream:
            return
        run, self._running = self._running, None
        self._pass_time()
        last = run.first if run.snapshot else len(self.commits)
        read: dict[Key, int] = {key: self.random.randint(run.first, last) for key in KEYS}
        contents: dict[Key, Content] = {key: self.states[at][key] for key, at in read.items() if key in self.states[at]}
        started = instant(run.started)
        load = Load(
            load_id(self._stream.ordinal, started),
            TABLE,
            self._stream.ordinal,
            run.boundary_at,
            run.boundary_seq,
            started,
            instant(self.real),
            run.snapshot,
            len(contents),
            min(1, len(contents)),
        )
        span_end = run.started if run.snapshot else self.real
        finished = LoadRun(load, read, contents, run.exact and run.snapshot, span_end)
        self.loads.append(finished)
        self.items.append(finished)
