"""Start a long-lived stack that outlives the command and its terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dms_assets.environment import QUIET
from dms_assets.stack.process import log_tail
from dms_assets.stack.shutdown import bring_down
from dms_assets.stack.stack_file import StackFile, StackState, read_stack_file

LOG_NAME = "stack.log"
SOURCE_URL_VARIABLE = "DMS_ASSETS_SOURCE_URL"


class StackNotStartedError(RuntimeError):
    """The stack ended while it was starting, or took too long."""

    def __init__(self, home: Path, reason: str, log: Path) -> None:
        super().__init__(f"the stack in {home} {reason}; its log is {log} and ends with:\n{log_tail(log)}")


def start_detached(home: Path, arguments: Sequence[str], timeout_s: float, say: Callable[[str], None]) -> StackFile:
    """Run `dms-assets dev` with these arguments in a session of its own; returns when it is up.

    `say` gets what it prints meanwhile. Raises StackNotStartedError, after it has stopped what had started.
    """
    log = home / "logs" / LOG_NAME
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    log.parent.mkdir(exist_ok=True)
    # The secret is stored by now; an address with a password does not stay in the environment of a process.
    environment = {name: value for name, value in os.environ.items() if name != SOURCE_URL_VARIABLE} | QUIET
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "dms_assets.cli", "dev", "--detached", "--dir", str(home), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + timeout_s
    with log.open(encoding="utf-8", errors="replace") as told:
        told.seek(begin)
        while True:
            if text := told.read():
                say(text)
            found = read_stack_file(home)
            if found is not None and found.pid == process.pid and found.state is not StackState.STARTING:
                return found
            if process.poll() is not None:
                raise StackNotStartedError(home, f"ended with status {process.returncode} while it started", log)
            if time.monotonic() > deadline:
                bring_down(home)
                raise StackNotStartedError(home, f"was not up after {timeout_s:.0f} s and is stopped", log)
            time.sleep(0.1)
