"""Stop the stack of a folder from outside, dead or alive."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from dms_assets.stack.leftovers import end_leftovers
from dms_assets.stack.stack_file import STACK_FILE
from dms_assets.stack.stack_lock import holder, take

_EXIT_TIMEOUT_S = 10.0


class StackNotStoppedError(RuntimeError):
    """The stack did not end in time."""

    def __init__(self, home: Path, pid: int, timeout_s: float) -> None:
        super().__init__(
            f"process {pid}, which runs the stack in {home}, still runs after {timeout_s:.0f} s; look at "
            f"{home / 'logs'}, or end it with `kill -9 {pid}` and run `dms-assets stack down` again"
        )


def bring_down(home: Path, timeout_s: float = 120.0) -> bool:
    """Ask the stack of a folder to stop and wait until it has; end what a dead one left. Whether anything ran.

    Raises StackNotStoppedError.
    """
    process = holder(home)
    if process is not None:
        _end(home, process, timeout_s)
    if not home.is_dir():
        return False
    with take(home):
        left = end_leftovers(home)
        (home / STACK_FILE).unlink(missing_ok=True)
    return process is not None or left > 0


def _end(home: Path, process: psutil.Process, timeout_s: float) -> None:
    try:
        process.terminate()
    except psutil.NoSuchProcess:
        return
    deadline = time.monotonic() + timeout_s
    while (now := holder(home)) is not None and now.pid == process.pid:
        if time.monotonic() > deadline:
            raise StackNotStoppedError(home, process.pid, timeout_s)
        time.sleep(0.1)
    # It gives the lock back as its last act; a process that nobody reaps has ended all the same.
    psutil.wait_procs([process], timeout=_EXIT_TIMEOUT_S)
