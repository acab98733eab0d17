"""Connect to a source as its user, or say what stands in the way and how to remove it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import psycopg

from dms_assets.model.engine import Engine, EngineNotSupportedError
from dms_assets.model.source_spec import SourceSpec

_CONNECT_TIMEOUT_S = 10
_REMEDIES: dict[str, str] = {
    r"password authentication failed|no password supplied": "correct username and password in {secret}",
    r"no pg_hba\.conf entry|pg_hba\.conf rejects": (
        "let the user in: on the source add `hostssl {dbname} {username} <this address>/32 scram-sha-256` to "
        "pg_hba.conf, then run `select pg_reload_conf()`"
    ),
    r'role ".*" does not exist': 'on the source: CREATE ROLE "{username}" LOGIN REPLICATION PASSWORD …',
    r'role ".*" is not permitted to log in': 'on the source: ALTER ROLE "{username}" LOGIN',
    r'database ".*" does not exist': "correct dbname in {secret}",
    r"permission denied for database": 'on the source: GRANT CONNECT ON DATABASE "{dbname}" TO "{username}"',
    r"could not translate host name|[Nn]ame or service not known|resolve host": (
        "correct host in {secret}; the name is not known to DNS from here"
    ),
    r"[Cc]onnection refused": "start the database, or correct host and port in {secret}; nothing listens there",
    r"timeout expired|timed out|[Nn]o route to host|unreachable": (
        "open the way to {host}:{port} (security group, firewall, VPN), or correct host and port in {secret}"
    ),
    r"server does not support SSL|SSL (error|SYSCALL)|certificate verify failed|root certificate": (
        "correct sslmode in {secret}, or the certificate of the server"
    ),
    r"too many (clients|connections)|remaining connection slots": (
        "free connections on the source, or raise max_connections"
    ),
    r"starting up|shutting down|recovery mode": "wait until the database has started, then try again",
}


class CannotConnectError(ConnectionError):
    """The source cannot be reached; `reason` and `remedy` are for people and hold no password."""

    def __init__(self, where: str, user: str, reason: str, remedy: str) -> None:
        super().__init__(f"cannot connect to {where} as user '{user}': {reason}. Remedy: {remedy}")
        self.where, self.reason, self.remedy = where, reason, remedy


def open_session(spec: SourceSpec, credentials: Mapping[str, Any]) -> psycopg.Connection[Any]:
    """A read-only, autocommitting session with the timeouts that any session of this user gets.

    `credentials` has host, port, dbname, username, password, and may have sslmode. Raises CannotConnectError, or
    EngineNotSupportedError for a source that is not PostgreSQL.
    """
    if spec.engine is not Engine.POSTGRES:
        raise EngineNotSupportedError(spec.engine, "the preflight", [Engine.POSTGRES])
    try:
        return psycopg.connect(
            host=credentials["host"],
            port=int(credentials["port"]),
            dbname=credentials["dbname"],
            user=credentials["username"],
            password=credentials["password"],
            sslmode=credentials.get("sslmode", "prefer"),
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_S,
            application_name="dms-assets doctor",
            options="-c default_transaction_read_only=on",
        )
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        raise CannotConnectError(
            f"{credentials['host']}:{credentials['port']}/{credentials['dbname']}",
            str(credentials["username"]),
            reason,
            _remedy(reason, {**credentials, "secret": f"the secret '{spec.connection.secret}'"}),
        ) from error


def _remedy(reason: str, values: Mapping[str, Any]) -> str:
    for pattern, remedy in _REMEDIES.items():
        if re.search(pattern, reason):
            return remedy.format_map(values)
    return f"correct {values['secret']}, or start the database"
