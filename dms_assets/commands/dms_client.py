"""The DMS client of the commands: the real service, or the one `AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient


def dms_client(region: str) -> DatabaseMigrationServiceClient:
    """A client for a region."""
    import boto3  # noqa: PLC0415

    client: DatabaseMigrationServiceClient = boto3.client("dms", region_name=region)
    return client
