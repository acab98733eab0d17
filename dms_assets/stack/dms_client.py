"""A client of a stack's Local DMS, whatever the environment of this process says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient

LOCAL_CREDENTIAL = "local"
"""Local DMS takes any; without one the client would look for real ones outside the machine."""


def local_dms_client(url: str, region: str) -> DatabaseMigrationServiceClient:
    """A boto3 client of the service at `url`."""
    import boto3  # noqa: PLC0415 half a second, for a thing that is needed once
    from botocore.config import Config  # noqa: PLC0415

    client: DatabaseMigrationServiceClient = boto3.client(
        "dms",
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=LOCAL_CREDENTIAL,
        aws_secret_access_key=LOCAL_CREDENTIAL,
        # A proxy for the outside must not be asked for this machine.
        config=Config(proxies={}),
    )
    return client
