"""Connections to a PostgreSQL source, and what its errors mean for a task."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString, cast
from urllib.parse import quote as url_quote

import adbc_driver_manager.dbapi
import adbc_driver_postgresql.dbapi  # type: ignore[import-untyped]
import psycopg
from psycopg import conninfo, pq
from psycopg.pq import abc

from dms_assets.local_dms.faults import RecoverableError, TaskError

# Text that PostgreSQL prints must not depend on the role's or the database's settings.
_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "client_encoding": "UTF8",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
_CONNECT_TIMEOUT_S = 10
_DEAD_AFTER_S = 30
"""After so long without a sign of life a connection is given up: a cut that nobody tells of must not last for ever."""
_RECOVERABLE = re.compile(r"^(08...|57P0[1-5]|53...|25P03|40...|55006)$")
_UNREACHABLE = re.compile(
    r"could not connect|connection (?:to server .* )?(?:failed|refused)|refused|server closed|terminating connection|"
    r"timeout expired|timed out|connection .*(?:lost|reset|closed|bad)|could not receive|starting up|shutting down|"
    r"consuming input failed|no connection to the server|SSL SYSCALL",
    re.IGNORECASE,
)
_REMEDIES = {
    "28P01": "check the user name and password of the source endpoint",
    "28000": "check the user of the source endpoint, pg_hba.conf, and that it may connect for replication",
    "3D000": "check DatabaseName of the source endpoint",
    "42501": "grant the endpoint's user what is missing (REPLICATION, SELECT, CREATE on the database)",
    "53300": "free connections on the source, or raise max_connections",
}


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """Where a source is and who connects; the password is never printed."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    ssl_mode: str = "prefer"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"

    def _parameters(self) -> dict[str, Any]:
        # The source is asked for probes too: sessions of a host that is gone would hold slot and snapshot for hours.
        # Not for the timeout: a load whose target stalls takes nothing for a while, which counts as silence there.
        theirs = {
            "tcp_keepalives_idle": _DEAD_AFTER_S // 2,
            "tcp_keepalives_interval": max(_DEAD_AFTER_S // 6, 1),
            "tcp_keepalives_count": 3,
        }
        options = " ".join(f"-c {name}={value}" for name, value in {**_SETTINGS, **theirs}.items())
        return {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "password": self.password,
            "sslmode": self.ssl_mode,
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "application_name": "local-dms",
            # Probes are for who waits for an answer, the timeout for what was sent and not acknowledged.
            "keepalives_idle": _DEAD_AFTER_S // 2,
            "keepalives_interval": max(_DEAD_AFTER_S // 6, 1),
            "keepalives_count": 3,
            "tcp_user_timeout": _DEAD_AFTER_S * 1000,
            "options": options,
        }

    def uri(self) -> str:
        """A libpq URI, with the password in it."""
        parameters = {key: value for key, value in self._parameters().items() if value not in {None, ""}}
        return "postgresql://?" + "&".join(
            f"{key}={url_quote(str(value), safe='')}" for key, value in parameters.items()
        )

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[Any]]:
        """An ordinary connection in autocommit. Raises TaskError or RecoverableError."""
        with source_errors(self), psycopg.connect(**self._parameters(), autocommit=True) as connection:
            yield connection

    @contextmanager
    def connect_arrow(self) -> Iterator[adbc_driver_manager.dbapi.Connection]:
        """A connection that returns Arrow. Raises TaskError or RecoverableError."""
        with source_errors(self), adbc_driver_postgresql.dbapi.connect(self.uri(), autocommit=True) as connection:
            yield connection

    @contextmanager
    def connect_replication(self) -> Iterator[abc.PGconn]:
        """A replication connection to the database (for slots with snapshots). Raises TaskError or RecoverableError."""
        info = conninfo.make_conninfo(**self._parameters(), replication="database")
        with source_errors(self):
            connection = pq.PGconn.connect(info.encode())
            try:
                if connection.status != pq.ConnStatus.OK:
                    raise psycopg.OperationalError(connection.get_error_message())
                yield connection
            finally:
                connection.finish()


def literal(text: str) -> LiteralString:
    """SQL made from quoted identifiers, marked as such for psycopg's types."""
    return text  # type: ignore[return-value,unused-ignore]


def _sqlstate(error: Exception) -> str | None:
    return cast("str | None", getattr(error, "sqlstate", None))


def explain(error: Exception, place: str) -> Exception:
    """What a driver's error means for the task: TaskError with a remedy, or RecoverableError."""
    state, text = _sqlstate(error), " ".join(str(error).split())
    if state is None:
        failed_login = "password authentication failed" in text or "no password supplied" in text
        state = "28P01" if failed_login else None
        state = "28000" if state is None and ("no pg_hba.conf entry" in text or 'role "' in text) else state
        state = "3D000" if state is None and "does not exist" in text and "database" in text else state
    if state in _REMEDIES and state != "53300":
        return TaskError(f"Source {place}: {text}; {_REMEDIES[state]}.")
    if (state and _RECOVERABLE.match(state)) or (state in {None, "00000"} and _UNREACHABLE.search(text)):
        return RecoverableError(f"Source {place} cannot be reached: {text}")
    return TaskError(f"Source {place}: {text}")


@contextmanager
def source_errors(place: object) -> Iterator[None]:
    """Turn errors of the drivers into TaskError and RecoverableError."""
    try:
        yield
    except (psycopg.Error, adbc_driver_manager.dbapi.Error) as error:
        raise explain(error, str(place)) from error
