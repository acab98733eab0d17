"""The DMS client of the commands: the address that is configured, else that of the stack in the folder, else AWS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE"


def dms_endpoint(home: Path) -> str | None:
    """Where DMS is: what `AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE` names, else Local DMS of the stack that runs in
    the folder, else None for AWS."""
    from dms_assets.stack.stack_file import read_stack_file  # noqa: PLC0415 reads a lock

    if os.environ.get(ENDPOINT_VARIABLE):
        return os.environ[ENDPOINT_VARIABLE]
    stack = read_stack_file(home.absolute())
    return None if stack is None else stack.urls.get("local_dms")


def dms_client(region: str, home: Path | None = None) -> DatabaseMigrationServiceClient:
    """A client for a region; with `home` also that of the stack which runs there."""
    import boto3  # noqa: PLC0415

    from dms_assets.stack.dms_client import local_dms_client  # noqa: PLC0415

    endpoint = None if home is None or os.environ.get(ENDPOINT_VARIABLE) else dms_endpoint(home)
    if endpoint is not None:
        return local_dms_client(endpoint, region)
    client: DatabaseMigrationServiceClient = boto3.client("dms", region_name=region)
    return client
