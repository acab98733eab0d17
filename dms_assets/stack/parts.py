"""The parts of a stack on one folder: how each process is started, where it listens and when it is ready."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dms_assets.environment import Environment
from dms_assets.model.failpoints import VARIABLE as FAILPOINTS
from dms_assets.sample.loopback import HOST, listens
from dms_assets.stack.dms_client import LOCAL_CREDENTIAL, local_dms_client
from dms_assets.stack.leftovers import mark
from dms_assets.stack.ports import Ports
from dms_assets.stack.process import STOP_TIMEOUT_S, StackProcess

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient

PROJECT_ROOT = Path(__file__).resolve().parent.parent.parent
USUAL_UI_PORT = 3000
_WORKSPACE = """\
load_from:
  - grpc_server:
      host: 127.0.0.1
      port: {port}
      location_name: dms_assets
"""


def _at_once() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Part:
    """One process of a stack. `name` is its name in the stack's file, `title` the one in sentences."""

    name: str
    title: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    ready: Callable[[], bool] = _at_once
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = STOP_TIMEOUT_S
    stale: Path | None = None
    """A file of an earlier process, which would make a new one look ready."""

    def launch(self) -> StackProcess:
        """Start it; returns at once."""
        if self.stale is not None:
            self.stale.unlink(missing_ok=True)
        return StackProcess(self.title, self.command, self.environment, self.log, PROJECT_ROOT)


class Parts:
    """Makes the parts of the stack in one folder. Ports are chosen when they are first asked for."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._ports = Ports(environment.root / "ports.json")

    @property
    def logs(self) -> Path:
        """Where the processes log."""
        return self.environment.root / "logs"

    @property
    def dms_url(self) -> str:
        """Where Local DMS listens."""
        return f"http://{HOST}:{self._ports.choose('local_dms')}"

    @property
    def workspace_file(self) -> Path:
        """Where web servers and daemon of this stack find its code server."""
        return self.environment.root / "workspace.yaml"

    def choose_ui_ports(self, wanted: int | None) -> None:
        """Settle where the web servers listen; `wanted` is for the read-write one. Raises PortTakenError."""
        port = self._ports.choose("ui", wanted=wanted, usual=USUAL_UI_PORT)
        self._ports.choose("ui_read_only", usual=port + 1)

    def ui_url(self, *, read_only: bool) -> str:
        """Where a web server listens."""
        return f"http://{HOST}:{self._ports.choose(_ui_name(read_only=read_only))}"

    def process_environment(self) -> dict[str, str]:
        """What every process of the stack sees: where things are, and that DMS is the local one."""
        return {
            **self.environment.process_environment(),
            "AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE": self.dms_url,
            "AWS_DEFAULT_REGION": self.environment.region,
            "AWS_ACCESS_KEY_ID": LOCAL_CREDENTIAL,
            "AWS_SECRET_ACCESS_KEY": LOCAL_CREDENTIAL,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
            # A proxy for the outside must not be asked for this machine.
            **dict.fromkeys(("no_proxy", "NO_PROXY"), _no_proxy()),
        }

    def local_dms(self, failpoints: str = "") -> Part:
        """Local DMS; `failpoints` as in `model/failpoints.py`."""
        self.environment.landing_dir.mkdir(parents=True, exist_ok=True)
        state = self.environment.local_dms_dir
        ready = state / "ready.json"
        port = self._ports.choose("local_dms")
        arguments = ["--state", state, "--buckets", self.environment.buckets_dir, "--port", port]
        arguments += ["--secrets", self.environment.secrets_dir]
        variables = {FAILPOINTS: failpoints}
        return self._part(
            "local_dms", "Local DMS", "dms_assets.local_dms", arguments, variables, ready=ready.exists, stale=ready
        )

    def code_server(self) -> Part:
        """The code server, which makes the Dagster instance first, so that it stands when this one answers.

        One for all: a daemon that reads the project's workspace file starts a new code server every minute.
        """
        port = self._ports.choose("code_server")
        self.workspace_file.write_text(_WORKSPACE.format(port=port), encoding="utf-8")
        return self._part(
            "code_server",
            "the code server",
            "dms_assets.stack.code_server",
            [port],
            ready=lambda: listens(port),
            ready_timeout_s=180.0,
            # It waits for the runs it started. Longer is not worth it: they are started again.
            stop_timeout_s=10.0,
        )

    def daemon(self) -> Part:
        """The daemon, which runs sensors, automation and runs; needs the code server."""
        arguments = ["run", "--workspace", self.workspace_file]
        return self._part("daemon", "the Dagster daemon", "dagster._daemon", arguments)

    def web_server(self, *, read_only: bool) -> Part:
        """A guarded web server; needs the code server."""
        name = _ui_name(read_only=read_only)
        port = self._ports.choose(name)
        arguments = ["--workspace", self.workspace_file, "--port", port]
        title = "the read-only web server" if read_only else "the web server"
        arguments += ["--read-only"] if read_only else []
        return self._part(
            name, title, "dms_assets.web.server", arguments, ready=lambda: listens(port), ready_timeout_s=120.0
        )

    def workload(self, secret: str) -> Part:
        """The sample workload, which changes the embedded source a little, for ever; `secret` names its connection."""
        path = self.environment.secret_path(secret)
        return self._part("workload", "the sample workload", "dms_assets.sample.workload_ticker", [path])

    def dms_client(self) -> DatabaseMigrationServiceClient:
        """A client of this stack's Local DMS."""
        return local_dms_client(self.dms_url, self.environment.region)

    def _part(
        self,
        name: str,
        title: str,
        module: str,
        arguments: Sequence[object],
        variables: Mapping[str, str] | None = None,
        *,
        ready: Callable[[], bool] = _at_once,
        ready_timeout_s: float = 60.0,
        stop_timeout_s: float = STOP_TIMEOUT_S,
        stale: Path | None = None,
    ) -> Part:
        return Part(
            name,
            title,
            [sys.executable, "-m", module, *map(str, arguments)],
            {**self.process_environment(), **mark(self.environment.root), **(variables or {})},
            self.logs / f"{name.replace('_', '-')}.log",
            ready,
            ready_timeout_s,
            stop_timeout_s,
            stale,
        )


def _ui_name(*, read_only: bool) -> str:
    return "ui_read_only" if read_only else "ui"


def _no_proxy() -> str:
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    return ",".join(filter(None, [known, HOST, "localhost"]))
