"""Every interleaving of the commit protocol's steps, searched; and protocols that look right, caught."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.model.protocol_model import Model, committed_ever, listed
from tests.model.protocol_state import IDLE, Protocol, State, ViolationError, World

TWO_KEYS = World(writes=(2, 1), lost_responses=1)
KEPT = replace(TWO_KEYS, keep_landing=True)
COMPACTED = World(writes=(2,), lost_responses=1, compactions=1)
DISPUTED = World(writes=(2, 1), lost_responses=0, disputed=frozenset({(0, 1)}))
WORLDS = {
    "a rewritten key and a lost response": TWO_KEYS,
    "landing is kept": KEPT,
    "a file that one worker rejects": DISPUTED,
    "the table is compacted": COMPACTED,
}


def search(model: Model) -> int:
    """All reachable states, and from each what one more worker makes of it alone. Returns how many there are."""
    start = model.initial()
    came_from: dict[State, State | None] = {start: None}
    settled: set[State] = set()
    queue = deque([start])
    while queue:
        state = queue.popleft()
        try:
            assert_completes(model, state, settled)
            for after in model.successors(state):
                if after not in came_from:
                    came_from[after] = state
                    queue.append(after)
        except ViolationError as violation:
            raise ViolationError(f"{violation}, after:\n{story(came_from, state)}") from None
    return len(came_from)


def story(came_from: dict[State, State | None], end: State) -> str:
    """The shortest way to a state, a line per step."""
    lines: list[str] = []
    state: State | None = end
    while state:
        steps = ", ".join(worker.step for worker in state.workers)
        lines.append(f"landing {listed(state.landing)}, {len(state.table)} snapshots; workers: {steps}")
        state = came_from[state]
    return "\n".join(reversed(lines))


def assert_completes(model: Model, state: State, settled: set[State]) -> None:
    """A fresh worker, the others stalled for ever, ends with everything decided, noted and removed."""
    world = state._replace(in_flight=frozenset(), lost=0, workers=())
    if world in settled:
        return
    settled.add(world)
    for choice in (0, -1):
        assert_decided(model, run_alone(model, run_alone(model, world, choice), choice))


def run_alone(model: Model, world: State, choice: int) -> State:
    worker = IDLE
    while True:
        world, worker = list(model.moves(world, worker))[choice]
        if worker == IDLE:
            return world


def assert_decided(model: Model, world: State) -> None:
    committed = set(committed_ever(world))
    newest = {(key, version) for key, version in enumerate(world.written) if version}
    if not newest <= committed | world.quarantine:
        raise ViolationError(f"{newest - committed - world.quarantine} is never decided on")
    if committed & world.quarantine:
        raise ViolationError(f"{committed & world.quarantine} is committed and in quarantine")
    noted = {("committed", file) for file in committed} | {("rejected", file) for file in world.quarantine}
    if not noted <= world.ledger:
        raise ViolationError(f"the ledger never hears of {noted - world.ledger}")
    left = set(listed(world.landing)) - (committed if model.world.keep_landing else set())
    if left:
        raise ViolationError(f"{left} stays in landing")


@pytest.mark.parametrize("world", WORLDS)
def test_no_interleaving_breaks_the_protocol(world: str, record_property: Callable[[str, object], None]) -> None:
    states = search(Model(Protocol(), WORLDS[world]))
    record_property("states", states)
    assert states > (5_000 if len(WORLDS[world].writes) == 1 else 50_000)


ONE_KEY = World(writes=(2,), lost_responses=1)
SAME_BYTES = replace(ONE_KEY, same_bytes=True)
BROKEN: dict[str, tuple[Protocol, World, str]] = {
    "no fence": (Protocol(fence=False), ONE_KEY, "committed twice"),
    "table loaded again before the commit": (Protocol(base_loaded_again=True), ONE_KEY, "committed twice"),
    "kept files are dropped": (Protocol(carry_listed=False), KEPT, "committed twice"),
    "rewritten files are not finished": (Protocol(finish_gone=False), ONE_KEY, "ledger never hears"),
    "GET without If-Match": (Protocol(get_if_match=False), ONE_KEY, "with the rows of"),
    "DELETE without If-Match": (Protocol(delete_if_match="nothing"), ONE_KEY, "it is lost"),
    "archive after the commit": (Protocol(archive_before_commit=False), ONE_KEY, "not in the archive"),
    "retry of an unknown commit": (Protocol(retry_blindly=True), ONE_KEY, "committed twice|ledger never hears"),
    "a batch is named by its files": (Protocol(named_by_files=True), ONE_KEY, "taken for this one's"),
    "a refusal is believed": (Protocol(refusal_is_believed=True), ONE_KEY, "that were deleted"),
    "clean up after an unknown commit": (Protocol(delete_undecided_data=True), ONE_KEY, "that were deleted"),
    "entries of committed files stay": (Protocol(void_committed=False), DISPUTED, "committed and in quarantine"),
    "quarantine is not heeded": (Protocol(quarantine_is_heeded=False), DISPUTED, "committed and in quarantine"),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_broken_protocol_is_caught(mistake: str) -> None:
    protocol, world, message = BROKEN[mistake]
    with pytest.raises(ViolationError, match=message):
        search(Model(protocol, world))


def test_an_etag_alone_does_not_protect_a_rewrite_with_the_same_bytes() -> None:
    """S3 deletes on a matching ETag only. A key rewritten with equal bytes just before is deleted unread; see
    `commit_plan` for what follows.
    """
    only_etag = Protocol(delete_if_match="etag")
    assert search(Model(only_etag, ONE_KEY)) > 1_000
    with pytest.raises(ViolationError, match="it is lost"):
        search(Model(only_etag, SAME_BYTES))
