"""From endpoint documents to addresses and targets: credentials, secrets, buckets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dms_assets.local_dms.attributes import endpoint_settings
from dms_assets.local_dms.faults import TaskError
from dms_assets.local_dms.files.layout import FileLayout
from dms_assets.local_dms.files.target import FolderTarget, Target
from dms_assets.local_dms.postgres.slot import identify
from dms_assets.local_dms.postgres.source import SourceAddress

_SSL_MODES = {"none": "prefer", "require": "require", "verify-ca": "verify-ca", "verify-full": "verify-full"}


class Wiring:
    """Where buckets and secrets are: folders, or S3 at `s3_endpoint` if that is given."""

    def __init__(self, buckets: Path, secrets: Path | None, s3_endpoint: str | None) -> None:
        self._buckets = buckets
        self._secrets = secrets
        self._s3_endpoint = s3_endpoint

    def source(self, endpoint: dict[str, Any]) -> SourceAddress:
        """The address of a source endpoint. Raises TaskError naming what is missing."""
        settings = endpoint_settings(endpoint)
        secret = settings.get("SecretsManagerSecretId")
        values = self._secret(secret) if secret else {}
        database = endpoint.get("DatabaseName") or settings.get("DatabaseName") or values.get("dbname")
        found = {
            "ServerName": values.get("host") or endpoint.get("ServerName") or settings.get("ServerName"),
            "Port": values.get("port") or endpoint.get("Port") or settings.get("Port") or 5432,
            "DatabaseName": database,
            "Username": values.get("username") or endpoint.get("Username") or settings.get("Username"),
        }
        missing = [name for name, value in found.items() if not value]
        if missing:
            raise TaskError(f"Endpoint {endpoint['EndpointIdentifier']} has no {', '.join(missing)}; add it.")
        password = values.get("password") or endpoint.get("Password") or settings.get("Password") or ""
        return SourceAddress(
            host=str(found["ServerName"]),
            port=int(found["Port"] or 0),
            database=str(found["DatabaseName"]),
            user=str(found["Username"]),
            password=str(password),
            ssl_mode=_SSL_MODES.get(str(endpoint.get("SslMode", "none")), "prefer"),
        )

    def _secret(self, secret_id: str) -> dict[str, Any]:
        """A secret by name, or by the ARN of one."""
        name = secret_id.rsplit(":secret:", 1)[-1]
        if self._secrets is None:
            raise TaskError(f"Secret {name}: Local DMS was started without a folder of secrets; give --secrets.")
        path = self._secrets / f"{name.replace('/', '__')}.json"
        try:
            values: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise TaskError(f"Secret {name} does not exist: there is no file {path}.") from error
        except json.JSONDecodeError as error:
            raise TaskError(f"Secret {name}: {path} is not JSON ({error.msg}, line {error.lineno}).") from error
        return values

    def target(self, endpoint: dict[str, Any], owner: str) -> Target:
        """The bucket of a target endpoint; `owner` names its part of the workspace."""
        bucket = FileLayout.from_settings(endpoint_settings(endpoint)).bucket
        folder = FolderTarget(self._buckets, bucket, owner)
        if self._s3_endpoint is None:
            return folder
        # boto3 is half a second of every start, for a target that few use.
        from dms_assets.local_dms.files.s3_target import S3Target  # noqa: PLC0415

        return S3Target(self._s3_endpoint, bucket, folder.workspace)

    def test(self, endpoint: dict[str, Any]) -> None:
        """Connect to a source as tasks will, or write to a target. Raises TaskError or RecoverableError."""
        if endpoint["EndpointType"] == "source":
            address = self.source(endpoint)
            with address.connect() as connection, address.connect_replication() as replication:
                connection.execute("select 1")
                identify(replication)
            return
        layout = FileLayout.from_settings(endpoint_settings(endpoint))
        self.target(endpoint, "test").check(layout.folder)
