"""The commit protocol as a state model: two workers, DMS writing, crashes (any number), responses that are lost, and
requests that a client repeats after they were carried out.

The decisions are those of `dms_assets.model.commit_plan`; the model adds only the world around them. A state is small
and hashable: files are (key, version), a base is the number of snapshots it saw.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import count

from dms_assets.model.commit_plan import (
    Base,
    CommitPlan,
    LandingPlan,
    Outcome,
    commit_outcome,
    plan_commit,
    plan_landing,
)
from dms_assets.model.landed_file import FileIdentity
from tests.model.protocol_state import (
    IDLE,
    File,
    InFlight,
    Protocol,
    Snapshot,
    State,
    ViolationError,
    Worker,
    World,
)


@cache
def identity(file: File) -> FileIdentity:
    return FileIdentity(f"key-{file[0]}", "etag", f"{file[1]:04d}")


@cache
def _file(known: FileIdentity) -> File:
    return (int(known.key.removeprefix("key-")), int(known.last_modified))


@cache
def _base(table: tuple[Snapshot, ...]) -> Base:
    committed = frozenset(map(identity, table[-1].committed)) if table else frozenset()
    return Base(len(table) or None, len(table), committed, ())


@cache
def _landing_plan(table: tuple[Snapshot, ...], listing: tuple[File, ...], rejected: tuple[File, ...]) -> LandingPlan:
    return plan_landing(_base(table), map(identity, listing), map(identity, rejected))


@cache
def _commit_plan(table: tuple[Snapshot, ...], plan: LandingPlan, files: tuple[File, ...], batch_id: str) -> CommitPlan:
    return plan_commit(_base(table), plan, [identity(file) for file in files], [], batch_id=batch_id)


def listed(landing: tuple[int, ...]) -> tuple[File, ...]:
    return tuple((key, version) for key, version in enumerate(landing) if version)


def committed_ever(state: State) -> list[File]:
    return [(key, version) for snapshot in state.table for key, version, _ in snapshot.files]


class Model:
    """Gives the successors of a state; raises ViolationError where one does what it must not."""

    def __init__(self, protocol: Protocol, world: World) -> None:
        self.protocol = protocol
        self.world = world

    def initial(self) -> State:
        none = (0,) * len(self.world.writes)
        empty: frozenset[File] = frozenset()
        return State(
            none, none, (), empty, empty, frozenset(), frozenset(), self.world.lost_responses, (IDLE, IDLE)
        )  # fmt: skip

    def successors(self, state: State) -> Iterator[State]:
        yield from self._dms_writes(state)
        if state.table and sum(not snapshot.files for snapshot in state.table) < self.world.compactions:
            # A snapshot without files of its own, that says of which batch the one before it was.
            again = state.table[-1]._replace(attempt=0, files=())
            yield state._replace(table=(*state.table, again), in_flight=frozenset())
        for request in state.in_flight:
            yield self._arrives(state, request)
        for index, worker in enumerate(state.workers):
            if index and worker == state.workers[0]:
                continue
            for after, moved in self.moves(state, worker):
                yield _with_worker(after, index, moved)
            if worker != IDLE:
                yield _with_worker(state, index, IDLE)  # it dies here

    def _dms_writes(self, state: State) -> Iterator[State]:
        for key, times in enumerate(self.world.writes):
            if state.written[key] < times:
                version = state.written[key] + 1
                yield state._replace(
                    landing=_put(state.landing, key, version), written=_put(state.written, key, version)
                )

    def moves(self, state: State, worker: Worker) -> Iterator[tuple[State, Worker]]:
        """What a worker may do next: the world after it, and the worker after it."""
        match worker.step:
            case "idle":
                yield state, Worker("list", base=len(state.table))
            case "list":
                rejected = tuple(sorted(state.quarantine)) if self.protocol.quarantine_is_heeded else ()
                begun = worker._replace(step="finish", listing=listed(state.landing), rejected=rejected)
                yield from self._finished(state, begun)
            case "finish":
                after = self._chore(state, *self._open_chores(state, worker)[worker.at])
                yield from self._finished(after, worker._replace(at=worker.at + 1))
            case "get":
                yield from self._get(state, worker)
            case "archive":
                yield self._archive(state, worker)
            case "quarantine" | "note bad" | "remove bad":
                yield self._reject(state, worker)
            case "commit":
                yield from self._commit(state, worker)
            case "unknown" | "refused":
                yield self._look_again(state, worker)
            case "settle":
                yield self._settle(state, worker)

    # Step 1: what is decided already.

    def _plan(self, state: State, worker: Worker | InFlight, base: int | None = None) -> LandingPlan:
        seen = worker.base if base is None else base
        return _landing_plan(state.table[:seen], worker.listing, worker.rejected)

    def _open_chores(self, state: State, worker: Worker) -> list[tuple[str, File]]:
        plan = self._plan(state, worker)
        chores = [("void", _file(known)) for known in plan.void if self.protocol.void_committed]
        chores += [("committed", _file(known)) for known in plan.gone if self.protocol.finish_gone]
        for known in plan.done:
            chores += self._chores(_file(known))
        for known in plan.rejected:
            chores.append(("rejected", _file(known)))
            if _file(known) in worker.listing:
                chores.append(("delete", _file(known)))
        return chores

    def _finished(self, state: State, worker: Worker) -> Iterator[tuple[State, Worker]]:
        """The worker as it is when there are chores left, else with one, two... of the new files to take."""
        if worker.at < len(self._open_chores(state, worker)):
            yield state, worker
            return
        new = self._plan(state, worker).new
        if not new:
            yield state, IDLE
        for take in range(1, len(new) + 1):
            yield state, worker._replace(step="get", at=0, take=take)

    def _chores(self, file: File) -> list[tuple[str, File]]:
        chores = [("committed", file), ("delete", file)]
        return chores[:1] if self.world.keep_landing else chores

    def _chore(self, state: State, chore: str, file: File) -> State:
        if chore == "delete":
            return self._delete(state, file)
        if chore != "rejected" and file not in committed_ever(state):
            raise ViolationError(f"{file} counts as committed, and it is not")
        if chore == "void":
            return state._replace(quarantine=state.quarantine - {file})
        return state._replace(ledger=state.ledger | {(chore, file)})

    def _delete(self, state: State, file: File) -> State:
        key, version = file
        there = state.landing[key]
        if not there or (not self._matches(there, version)):
            return state
        removed = (key, there)
        if removed not in state.quarantine and removed not in committed_ever(state):
            raise ViolationError(f"{removed} is deleted and was never committed: it is lost")
        if removed not in state.quarantine and removed not in state.archive:
            raise ViolationError(f"{removed} is deleted and not in the archive")
        return state._replace(landing=_put(state.landing, key, 0))

    def _matches(self, there: int, version: int) -> bool:
        match self.protocol.delete_if_match:
            case "identity":
                return there == version
            case "etag":
                return there == version or self.world.same_bytes
        return True

    # Step 2: read, archive, quarantine.

    def _current(self, state: State, worker: Worker) -> File:
        return _file(self._plan(state, worker).new[worker.at])

    def _get(self, state: State, worker: Worker) -> Iterator[tuple[State, Worker]]:
        key, version = self._current(state, worker)
        there = state.landing[key]
        if not there or (self.protocol.get_if_match and there != version):
            yield state, IDLE
            return
        if (key, there) in self.world.disputed:
            yield state, worker._replace(step="quarantine")
        moved = worker._replace(batch=(*worker.batch, (key, version, there)))
        yield state, moved._replace(step="archive") if self.protocol.archive_before_commit else self._next_file(moved)

    def _archive(self, state: State, worker: Worker) -> tuple[State, Worker]:
        key, version, _ = worker.batch[-1]
        if state.landing[key] != version and self.protocol.get_if_match:
            return state, IDLE
        return state._replace(archive=state.archive | {(key, version)}), self._next_file(worker)

    def _next_file(self, worker: Worker) -> Worker:
        if worker.at + 1 < worker.take:
            return worker._replace(step="get", at=worker.at + 1)
        return worker._replace(step="commit", at=0) if worker.batch else IDLE

    def _reject(self, state: State, worker: Worker) -> tuple[State, Worker]:
        file = self._current(state, worker)
        if worker.step == "quarantine":
            if state.landing[file[0]] != file[1]:
                return state, IDLE
            return state._replace(quarantine=state.quarantine | {file}), worker._replace(step="note bad")
        if worker.step == "note bad":
            return state._replace(ledger=state.ledger | {("rejected", file)}), worker._replace(step="remove bad")
        return self._delete(state, file), self._next_file(worker)

    # Step 4: one commit on the base of step 1.

    def _commit(self, state: State, worker: Worker) -> Iterator[tuple[State, Worker]]:
        held = worker._replace(base=len(state.table)) if self.protocol.base_loaded_again else worker
        held = held._replace(attempt=_new_attempt(state, held.base), at=0)
        request = InFlight(held.base, worker.batch, worker.listing, worker.rejected, held.attempt, has_data=True)
        base = worker.base if self.protocol.base_loaded_again else None
        fits = held.base == len(state.table) or not self.protocol.fence
        if fits:
            yield self._append(state, request, base), held._replace(step="settle", attempt=0)
        else:
            yield self._refused(state, held)
        if state.lost:
            sent = state.in_flight | {request} if fits else state.in_flight
            yield state._replace(lost=state.lost - 1, in_flight=sent), held._replace(step="unknown")
        if state.lost and fits:
            yield self._refused(self._append(state, request, base)._replace(lost=state.lost - 1), held)

    def _refused(self, state: State, worker: Worker) -> tuple[State, Worker]:
        """The catalog says that the table moved on, be it by a first request of this very worker."""
        if not self.protocol.refusal_is_believed:
            return state, worker._replace(step="refused")
        if _committed_by(state, worker):
            raise ViolationError(f"a snapshot names data files of {worker.batch} that were deleted")
        return state, IDLE

    def _append(self, state: State, request: InFlight, planned_on: int | None = None) -> State:
        base = request.base if planned_on is None else planned_on
        files = tuple((key, version) for key, version, _ in request.files)
        for key, version, read in request.files:
            if (key, version) in committed_ever(state):
                raise ViolationError(f"{(key, version)} is committed twice")
            if read != version:
                raise ViolationError(f"{(key, version)} is committed with the rows of {(key, read)}")
            if (key, version) not in state.archive:
                raise ViolationError(f"{(key, version)} is committed and not in the archive")
        if not request.has_data:
            raise ViolationError(f"a snapshot names data files of {files} that were deleted")
        name = self._name(request.base, request.attempt, files)
        plan = _commit_plan(state.table[:base], self._plan(state, request, base), files, name)
        committed = frozenset(map(_file, plan.committed)) if self.protocol.carry_listed else frozenset(files)
        snapshot = Snapshot(plan.batch_id, request.attempt, request.files, committed)
        # A request on an older base is refused for ever: it need not be remembered.
        return state._replace(table=(*state.table, snapshot), in_flight=frozenset())

    def _name(self, base: int, attempt: int, files: tuple[File, ...]) -> str:
        """Unique per attempt, or (a mistake) made of what is in the batch."""
        return str(files) if self.protocol.named_by_files else f"{base}.{attempt}"

    def _arrives(self, state: State, request: InFlight) -> State:
        after = state._replace(in_flight=state.in_flight - {request})
        return self._append(after, request) if request.base == len(state.table) else after

    def _look_again(self, state: State, worker: Worker) -> tuple[State, Worker]:
        files = tuple((key, version) for key, version, _ in worker.batch)
        name = self._name(worker.base, worker.attempt, files)
        plan = CommitPlan(worker.base or None, worker.base + 1, name, (), frozenset(), ())
        newest_first = [(index + 1, {"dms-assets.batch-id": state.table[index].batch_id})
                        for index in reversed(range(len(state.table)))]  # fmt: skip
        outcome = commit_outcome(plan, newest_first, refused=worker.step == "refused")
        if outcome is Outcome.COMMITTED:
            if not _committed_by(state, worker):
                raise ViolationError(f"{worker.batch} of another worker's commit is taken for this one's")
            return state, worker._replace(step="settle", attempt=0)
        if self.protocol.retry_blindly:
            return state, worker._replace(step="commit", base=len(state.table), attempt=0)
        if outcome is Outcome.REFUSED or self.protocol.delete_undecided_data:
            if _committed_by(state, worker):
                raise ViolationError(f"a snapshot names data files of {files} that were deleted")
            mine = {sent for sent in state.in_flight if (sent.base, sent.attempt) == (worker.base, worker.attempt)}
            without = frozenset(sent._replace(has_data=False) for sent in mine)
            state = state._replace(in_flight=(state.in_flight - mine) | without)
        return state, IDLE

    # Step 5: ledger, then delete.

    def _settle(self, state: State, worker: Worker) -> tuple[State, Worker]:
        chores = [chore for key, version, _ in worker.batch for chore in self._chores((key, version))]
        after = self._chore(state, *chores[worker.at])
        more = worker.at + 1 < len(chores)
        return after, worker._replace(at=worker.at + 1) if more else IDLE


def _new_attempt(state: State, base: int) -> int:
    """A number that no other request on the base has, as far as anybody remembers it."""
    taken = {worker.attempt for worker in state.workers if worker.base == base}
    taken |= {request.attempt for request in state.in_flight if request.base == base}
    taken |= {snapshot.attempt for snapshot in state.table[base : base + 1]}
    return next(number for number in count(1) if number not in taken)


def _committed_by(state: State, worker: Worker) -> bool:
    """Whether the snapshot after the worker's base is of its own request."""
    return any(snapshot.attempt == worker.attempt for snapshot in state.table[worker.base : worker.base + 1])


def _put(values: tuple[int, ...], index: int, value: int) -> tuple[int, ...]:
    return (*values[:index], value, *values[index + 1 :])


def _with_worker(state: State, index: int, worker: Worker) -> State:
    """With the workers in one order, since it does not matter which is which."""
    others = [other for at, other in enumerate(state.workers) if at != index]
    return state._replace(workers=tuple(sorted([*others, worker])))
