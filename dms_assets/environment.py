"""Where this installation keeps things: one immutable object, made from environment variables, no I/O on import.

Locally everything is below one folder, the stack's home (`DMS_ASSETS_HOME`, default `.dms`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

QUIET = {"DAGSTER_DISABLE_TELEMETRY": "yes", "DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
"""Variables that keep Dagster and dbt from telling anybody of their use."""
LANDING_BUCKET = "landing"


class SecretNotFoundError(LookupError):
    """A source names a secret that this environment does not hold."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(
            f"secret '{name}' is not there; write a JSON object with host, port, dbname, username and password "
            f"to {path} (readable by you only)"
        )


def _variable(name: str, default: str) -> str:
    return os.environ.get(f"DMS_ASSETS_{name}", default)


@dataclass(frozen=True, slots=True)
class Environment:
    """Settings of the platform; what is not given is taken from `DMS_ASSETS_HOME` and `DMS_ASSETS_REGION`."""

    home: Path = field(default_factory=lambda: Path(_variable("HOME", ".dms")))
    region: str = field(default_factory=lambda: _variable("REGION", "eu-west-2"))

    @property
    def root(self) -> Path:
        """The home as an absolute path."""
        return self.home.absolute()

    @property
    def postgres_dir(self) -> Path:
        """Data of the embedded PostgreSQL."""
        return self.root / "postgres"

    @property
    def local_dms_dir(self) -> Path:
        """State of Local DMS."""
        return self.root / "local-dms"

    @property
    def buckets_dir(self) -> Path:
        """The folder whose children stand for buckets."""
        return self.root / "buckets"

    @property
    def landing_dir(self) -> Path:
        """The landing bucket."""
        return self.buckets_dir / LANDING_BUCKET

    @property
    def lake_dir(self) -> Path:
        """Iceberg catalog and tables."""
        return self.root / "lake"

    @property
    def archive_dir(self) -> Path:
        """Untouched originals of accepted files."""
        return self.root / "archive"

    @property
    def quarantine_dir(self) -> Path:
        """Rejected files and their reports."""
        return self.root / "quarantine"

    @property
    def ledger_dir(self) -> Path:
        """What happened to every landed file."""
        return self.root / "ledger"

    @property
    def state_dir(self) -> Path:
        """Metadata versions, streams, polls."""
        return self.root / "state"

    @property
    def alerts_dir(self) -> Path:
        """What was told by the alert sensor, as lines and to read."""
        return self.root / "alerts"

    @property
    def warehouse_file(self) -> Path:
        """The DuckDB file that dbt writes; one process at a time."""
        return self.root / "warehouse" / "warehouse.duckdb"

    @property
    def published_file(self) -> Path:
        """The read copy of the warehouse, swapped atomically."""
        return self.root / "warehouse" / "published" / "warehouse.duckdb"

    @property
    def dbt_target_dir(self) -> Path:
        """What dbt compiles and logs."""
        return self.root / "dbt"

    @property
    def dagster_home(self) -> Path:
        """The Dagster instance: runs, event log, schedules."""
        return self.root / "dagster"

    @property
    def secrets_dir(self) -> Path:
        """One JSON file per secret, readable by the owner only."""
        return self.root / "secrets"

    def secret_path(self, name: str) -> Path:
        """The file of a secret."""
        return self.secrets_dir / f"{name.replace('/', '__')}.json"

    def secret(self, name: str) -> dict[str, Any]:
        """The content of a secret. Raises SecretNotFoundError, or TypeError if it is not a JSON object."""
        path = self.secret_path(name)
        if not path.is_file():
            raise SecretNotFoundError(name, path)
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise TypeError(f"secret '{name}' in {path} is not a JSON object")
        return value

    def process_environment(self) -> dict[str, str]:
        """The variables a child process of this stack needs, on top of the present ones."""
        return {
            **os.environ,
            "DMS_ASSETS_HOME": str(self.root),
            "DMS_ASSETS_WAREHOUSE": str(self.warehouse_file),
            "DAGSTER_HOME": str(self.dagster_home),
            **QUIET,
        }
