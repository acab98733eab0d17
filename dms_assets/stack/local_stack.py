"""A stack that somebody drives step by step: demo and tests. `long_lived.py` has the one that looks after itself."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from dms_assets.environment import Environment
from dms_assets.stack.leftovers import end_leftovers
from dms_assets.stack.parts import Part, Parts
from dms_assets.stack.process import StackProcess
from dms_assets.stack.stack_lock import take


class LocalStack:
    """The processes beside the source database. A second stack on the same folder is refused (StackInUseError)."""

    def __init__(self, home: Path) -> None:
        self.environment = Environment(home=home.absolute())
        self._lock = take(self.environment.root)
        end_leftovers(self.environment.root)
        self.parts = Parts(self.environment)
        self.local_dms: StackProcess | None = None
        self.code_server: StackProcess | None = None
        self.daemon: StackProcess | None = None

    @property
    def _processes(self) -> tuple[StackProcess | None, ...]:
        """In the order they are started."""
        return (self.local_dms, self.code_server, self.daemon)

    def process_environment(self) -> dict[str, str]:
        """What every process of the stack sees."""
        return self.parts.process_environment()

    def adopt_environment(self) -> None:
        """Let this process see what its children see, so that it can call the same code and commands."""
        os.environ.update(self.process_environment())

    def start_local_dms(self, failpoints: str = "") -> None:
        """Start Local DMS and wait until it answers. `failpoints` as in `model/failpoints.py`."""
        part = self.parts.local_dms(failpoints)
        self.local_dms = part.launch()
        _wait(self.local_dms, part)

    def start_code_server(self) -> StackProcess:
        """Start the code server; `start_daemon` waits for it."""
        self.code_server = self.parts.code_server().launch()
        return self.code_server

    def start_daemon(self) -> None:
        """Start the daemon, which runs sensors, automation and runs, once the code server answers."""
        _wait(self.code_server or self.start_code_server(), self.parts.code_server())
        self.daemon = self.parts.daemon().launch()

    def check(self) -> None:
        """Raise ProcessFailedError if a process that should run has ended."""
        for process in self._processes:
            if process is not None:
                process.check()

    def stop(self) -> None:
        """Stop everything, in the reverse order of starting, and give the folder back."""
        with ExitStack() as end:
            end.callback(self._lock.close)
            for process in self._processes:
                if process is not None:
                    end.callback(process.stop)
        self.daemon = self.code_server = self.local_dms = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _wait(process: StackProcess, part: Part) -> None:
    process.wait_ready(part.ready, part.ready_timeout_s)
