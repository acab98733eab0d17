"""A child that dies is started again, ever more rarely, and told; real processes, a clock of our own."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dms_assets.stack.backoff import FAILING_AFTER
from dms_assets.stack.parts import Part
from dms_assets.stack.process import ProcessFailedError
from dms_assets.stack.stack_file import State
from dms_assets.stack.supervised import PartChild, Supervised
from tests.local_dms.service import until

SLEEP = "import time; time.sleep(600)"
FAIL = "print('no space left'); raise SystemExit(3)"


@dataclass
class Watch:
    child: PartChild
    now: float = 0.0
    said: list[str] = field(default_factory=list)

    needs: Supervised | None = None

    def __post_init__(self) -> None:
        self.supervised = Supervised(self.child, self.said.append, lambda: self.now, needs=self.needs)

    def ended(self) -> bool:
        return self.child.end() is not None


def watch(tmp_path: Path, code: str, ready: Callable[[], bool] = lambda: True) -> Watch:
    command = [sys.executable, "-c", code]
    return Watch(PartChild(Part("thing", "the thing", command, os.environ, tmp_path / "thing.log", ready)))


def test_one_that_is_killed_comes_back_with_another_pid(tmp_path: Path) -> None:
    it = watch(tmp_path, SLEEP)
    it.supervised.start()
    it.supervised.wait()
    first = it.child.pid
    assert first is not None
    os.kill(first, 9)
    until(it.ended)
    it.supervised.tick()
    assert it.supervised.state is State.WAITING
    assert "ended with status -9; it is started again in 1 s" in it.said[0]
    it.supervised.tick()
    assert it.child.pid == first, "not before its time"
    it.now += 1
    it.supervised.tick()
    it.supervised.tick()
    assert it.supervised.state is State.UP
    assert it.child.pid not in {None, first}
    assert it.supervised.restarts == 1
    assert it.said[1] == "the thing is up again"
    it.supervised.stop()
    assert it.ended()


def test_one_that_dies_again_and_again_is_failing_and_still_tried(tmp_path: Path) -> None:
    it = watch(tmp_path, FAIL, ready=lambda: False)
    it.supervised.start()
    for _ in range(FAILING_AFTER):
        until(it.ended)
        it.supervised.tick()
        it.now += 400
        if it.supervised.state is State.WAITING:
            it.supervised.tick()
            # It died at once, however late it is looked at.
            it.now -= 399
    assert it.supervised.state is State.FAILING
    assert "no space left" in it.said[-1]
    it.now += 400
    it.supervised.tick()
    assert it.supervised.state is State.STARTING


def test_one_that_never_becomes_ready_is_ended_and_tried_again(tmp_path: Path) -> None:
    it = watch(tmp_path, SLEEP, ready=lambda: False)
    it.supervised.start()
    it.supervised.tick()
    assert it.supervised.state is State.STARTING
    it.now += 61
    it.supervised.tick()
    assert it.supervised.state is State.WAITING
    assert it.ended()
    assert "was not ready after 60 s" in it.said[0]


def test_a_failure_of_the_first_start_is_an_error(tmp_path: Path) -> None:
    it = watch(tmp_path, FAIL, ready=lambda: False)
    it.supervised.start()
    with pytest.raises(ProcessFailedError, match=r"(?s)ended with status 3.*no space left"):
        it.supervised.wait()


def test_one_that_cannot_be_launched_again_is_tried_later(tmp_path: Path) -> None:
    it = watch(tmp_path, SLEEP)
    it.supervised.start()
    it.supervised.wait()
    assert it.child.pid is not None
    os.kill(it.child.pid, 9)
    until(it.ended)
    it.supervised.tick()
    log = tmp_path / "thing.log"
    log.unlink()
    log.mkdir()
    it.now += 1
    it.supervised.tick()
    assert it.supervised.state is State.WAITING
    assert "could not be started" in it.said[-1]
    log.rmdir()
    it.now += 2
    it.supervised.tick()
    it.supervised.tick()
    assert it.supervised.state is State.UP
    it.supervised.stop()


def test_one_that_needs_another_rests_while_that_is_down(tmp_path: Path) -> None:
    server = watch(tmp_path, SLEEP)
    user = Watch(watch(tmp_path, SLEEP).child, needs=server.supervised)
    for it in (server, user):
        it.supervised.start()
        it.supervised.wait()
    first = user.child.pid
    assert server.child.pid is not None
    os.kill(server.child.pid, 9)
    until(server.ended)
    server.supervised.tick()
    user.supervised.tick()
    assert user.ended()
    user.now += 100
    user.supervised.tick()
    assert (user.supervised.state, user.child.pid) == (State.WAITING, first)
    server.now += 1
    server.supervised.tick()
    server.supervised.tick()
    user.supervised.tick()
    user.supervised.tick()
    assert (server.supervised.state, user.supervised.state) == (State.UP, State.UP)
    assert user.child.pid != first
    for it in (user, server):
        it.supervised.stop()
