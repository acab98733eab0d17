"""The processes of one local stack beside the source database: Local DMS, the code server and the Dagster daemon."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from dms_assets.environment import Environment
from dms_assets.model.failpoints import VARIABLE as FAILPOINTS
from dms_assets.stack.dagster_instance import prepare
from dms_assets.stack.process import StackProcess
from dms_assets.stack.stack_lock import take

PROJECT_ROOT = Path(__file__).resolve().parent.parent.parent
LOCAL_DMS_READY_S = 60.0
CODE_SERVER_READY_S = 120.0
_WORKSPACE = """\
load_from:
  - grpc_server:
      host: 127.0.0.1
      port: {port}
      location_name: dms_assets
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _no_proxy() -> str:
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    return ",".join(filter(None, [known, "127.0.0.1", "localhost"]))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class LocalStack:
    """One stack on one folder. A second one on the same folder is refused (StackInUseError)."""

    def __init__(self, home: Path) -> None:
        self.environment = Environment(home=home.absolute())
        self._lock = take(self.environment.root)
        self._dms_port, self._code_port = _free_port(), 0
        self.local_dms: StackProcess | None = None
        self.code_server: StackProcess | None = None
        self.daemon: StackProcess | None = None

    @property
    def logs(self) -> Path:
        """Where the processes log."""
        return self.environment.root / "logs"

    @property
    def dms_url(self) -> str:
        """Where Local DMS listens."""
        return f"http://127.0.0.1:{self._dms_port}"

    @property
    def workspace_file(self) -> Path:
        """Where webserver and daemon of this stack find its code server."""
        return self.environment.root / "workspace.yaml"

    @property
    def _processes(self) -> tuple[StackProcess | None, ...]:
        """In the order they are started."""
        return (self.local_dms, self.code_server, self.daemon)

    def process_environment(self) -> dict[str, str]:
        """What every process of the stack sees: where things are, and that DMS is the local one."""
        return {
            **self.environment.process_environment(),
            "AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE": self.dms_url,
            "AWS_DEFAULT_REGION": self.environment.region,
            # Local DMS takes any; without them the client would look for real ones outside the machine.
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
            # A proxy for the outside must not be asked for this machine.
            **dict.fromkeys(("no_proxy", "NO_PROXY"), _no_proxy()),
        }

    def adopt_environment(self) -> None:
        """Let this process see what its children see, so that it can call the same code and commands."""
        os.environ.update(self.process_environment())

    def start_local_dms(self, failpoints: str = "") -> None:
        """Start Local DMS and wait until it answers. `failpoints` as in `model/failpoints.py`."""
        self.environment.landing_dir.mkdir(parents=True, exist_ok=True)
        state = self.environment.local_dms_dir
        ready = state / "ready.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "dms_assets.local_dms", "--state", str(state)]
        command += ["--buckets", str(self.environment.buckets_dir), "--port", str(self._dms_port)]
        command += ["--secrets", str(self.environment.secrets_dir)]
        environment = {**self.process_environment(), FAILPOINTS: failpoints}
        self.local_dms = StackProcess("Local DMS", command, environment, self.logs / "local-dms.log", PROJECT_ROOT)
        self.local_dms.wait_ready(ready.exists, LOCAL_DMS_READY_S)

    def start_code_server(self) -> StackProcess:
        """Start the code server; `start_daemon` waits for it.

        One for all: a daemon that reads the project's workspace file starts a new code server every minute.
        """
        prepare(self.environment.dagster_home)
        self._code_port = _free_port()
        self.workspace_file.write_text(_WORKSPACE.format(port=self._code_port), encoding="utf-8")
        command = ["dms_assets.stack.code_server", str(self._code_port)]
        self.code_server = self._start("the code server", command, "code-server.log")
        return self.code_server

    def start_daemon(self) -> None:
        """Start the daemon, which runs sensors, automation and runs, once the code server answers."""
        server = self.code_server or self.start_code_server()
        server.wait_ready(lambda: _listens(self._code_port), CODE_SERVER_READY_S)
        command = ["dagster._daemon", "run", "--workspace", str(self.workspace_file)]
        self.daemon = self._start("the Dagster daemon", command, "daemon.log")

    def _start(self, name: str, module: list[str], log: str) -> StackProcess:
        command = [sys.executable, "-m", *module]
        return StackProcess(name, command, self.process_environment(), self.logs / log, PROJECT_ROOT)

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
