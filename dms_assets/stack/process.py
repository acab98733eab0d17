"""One child process of a stack: started in a session of its own, logged to a file, stopped with all it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

STOP_TIMEOUT_S = 30.0
FAMILY_TIMEOUT_S = 5.0
LOG_TAIL_BYTES = 2_000


class ProcessFailedError(RuntimeError):
    """A process of the stack ended, or did not become ready."""

    def __init__(self, name: str, reason: str, log: Path) -> None:
        super().__init__(f"{name} {reason}; its log is {log} and ends with:\n{log_tail(log)}")


def log_tail(log: Path) -> str:
    """The last lines of a log, about two thousand characters; empty if there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        return file.read().decode(errors="replace").strip()


class StackProcess:
    """A running process. Not started again by itself: who owns it decides what its end means."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Its own session: a Ctrl-C of the terminal reaches us only, and we stop things in order.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended (negative: by that signal), None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raise ProcessFailedError if it has ended."""
        if self.returncode is not None:
            raise ProcessFailedError(self.name, f"ended with status {self.returncode}", self.log)

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `ready()`; raises ProcessFailedError if the process ends first or the time is over."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ProcessFailedError(self.name, f"was not ready after {timeout_s:.0f} s", self.log)
            time.sleep(0.1)

    def wait(self, timeout_s: float) -> int:
        """Wait for the end; its status. Raises ProcessFailedError if it still runs after `timeout_s`."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailedError(self.name, f"still runs after {timeout_s:.0f} s", self.log) from error

    def kill(self) -> None:
        """End it at once, as a crash would, and nothing else."""
        self._process.kill()
        self._process.wait()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ask it to end, wait so long, then end what is left of it and of the processes it started."""
        family = self._family()
        patience = FAMILY_TIMEOUT_S
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                patience = 0.0
        # Not asked but killed: a run that ends itself counts as failed, one that vanished is started again.
        _, alive = psutil.wait_procs(family, timeout=patience)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=FAMILY_TIMEOUT_S)

    def _family(self) -> list[psutil.Process]:
        """Every process of the session this one leads: children whose parent died belong to it still."""
        family = []
        for process in psutil.process_iter():
            try:
                if process.pid != self.pid and os.getsid(process.pid) == self.pid:
                    family.append(process)
            except ProcessLookupError:
                continue
        return family
