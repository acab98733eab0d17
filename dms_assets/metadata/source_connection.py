"""Open a connection to a source database, with errors that say what to do and never hold the password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from dms_assets.model.engine import Engine, EngineNotSupportedError
from dms_assets.model.source_spec import SourceSpec

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_S = 60


class SourceUnreachableError(ConnectionError):
    """The source database refused or did not answer."""

    def __init__(self, spec: SourceSpec, credentials: Mapping[str, Any], reason: str) -> None:
        where = f"{credentials['host']}:{credentials['port']}/{credentials['dbname']}"
        super().__init__(
            f"source '{spec.name}' at {where} cannot be reached as user '{credentials['username']}': {reason.strip()}. "
            f"Correct the secret '{spec.connection.secret}', or start the database"
        )


def connect(spec: SourceSpec, credentials: Mapping[str, Any]) -> psycopg.Connection[Any]:
    """A read-only, autocommitting connection to the source.

    `credentials` has host, port, dbname, username and password, and may have sslmode. Raises SourceUnreachableError or
    EngineNotSupportedError.
    """
    if spec.engine is not Engine.POSTGRES:
        raise EngineNotSupportedError(spec.engine, "reading the source", [Engine.POSTGRES])
    try:
        return psycopg.connect(
            host=credentials["host"],
            port=int(credentials["port"]),
            dbname=credentials["dbname"],
            user=credentials["username"],
            password=credentials["password"],
            sslmode=credentials.get("sslmode", "prefer"),
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="dms-assets",
            options=f"-c default_transaction_read_only=on -c statement_timeout={STATEMENT_TIMEOUT_S}s",
        )
    except psycopg.OperationalError as error:
        raise SourceUnreachableError(spec, credentials, str(error)) from error
