"""Local DMS from a copy of a process that has imported it: a simulation restarts it a dozen times."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from dms_assets.local_dms import stream
from dms_assets.local_dms.__main__ import main
from dms_assets.model import failpoints
from dms_assets.stack.local_stack import LocalStack
from dms_assets.stack.process import STOP_TIMEOUT_S, ProcessFailedError

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])


class ForkedProcess:
    """What a `StackProcess` is, for a command of Local DMS."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._process = _PROCESSES.Process(target=_serve, args=(list(arguments), dict(environment), log), daemon=True)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """How it ended, None while it runs."""
        return self._process.exitcode

    def wait_ready(self, ready: Path, timeout_s: float) -> None:
        """Wait until the file is there. Raises ProcessFailedError if the process ends first or the time is over."""
        deadline = time.monotonic() + timeout_s
        while not ready.exists():
            if self.returncode is not None or time.monotonic() > deadline:
                raise ProcessFailedError("Local DMS", f"is not ready: {self.returncode}", self.log)
            time.sleep(0.02)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ask it to end; after so long, end it."""
        self._process.terminate()
        self._process.join(timeout_s)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()


class ForkedStack(LocalStack):
    """A stack whose Local DMS starts in a blink; the same program with the same arguments."""

    forked: ForkedProcess | None = None

    def start_local_dms(self, failpoints: str = "") -> None:
        """Start Local DMS and wait until it answers."""
        part = self.parts.local_dms(failpoints)
        assert part.stale is not None
        part.stale.unlink(missing_ok=True)
        # The command is the interpreter, -m and the module; what follows is the program's.
        self.forked = ForkedProcess(part.command[3:], part.environment, part.log)
        self.forked.wait_ready(part.stale, part.ready_timeout_s)

    def stop(self) -> None:
        """Stop it and give the folder back."""
        if self.forked is not None:
            self.forked.stop()
        super().stop()


def _serve(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    with log.open("ab") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    failpoints._PLAN.update(failpoints.parse(environment[failpoints.VARIABLE]))
    # So that thousands of rows are enough for a transaction that is cut into files.
    stream._SLAB_MESSAGES = 500
    threading.Thread(target=_end_with_the_test, daemon=True).start()
    sys.argv = ["local_dms", *arguments]
    main()


def _end_with_the_test() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
