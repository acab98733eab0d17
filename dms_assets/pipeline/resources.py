"""Dagster resources: the DMS client and the installation's stores."""

from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from pydantic import PrivateAttr

from dms_assets.installation import Installation

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient


class DmsResource(dg.ConfigurableResource["DmsResource"]):
    """AWS DMS through boto3; AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE points it at Local DMS.

    dagster-aws has no resource for DMS, and importing it costs every process of the platform more than a second.
    """

    region_name: str
    max_attempts: int = 5
    _client: Any = PrivateAttr(default=None)

    def client(self) -> "DatabaseMigrationServiceClient":
        """The client, made once per process."""
        if self._client is None:
            import boto3  # noqa: PLC0415 heavy, and only some processes talk to DMS
            from botocore.config import Config  # noqa: PLC0415

            self._client = boto3.client(
                "dms",
                region_name=self.region_name,
                config=Config(retries={"max_attempts": self.max_attempts, "mode": "standard"}),
            )
        return cast("DatabaseMigrationServiceClient", self._client)


class InstallationResource(dg.ConfigurableResource[Installation]):
    """The stores, the catalog and the credentials of this environment."""

    def create_resource(self, context: dg.InitResourceContext) -> Installation:  # noqa: ARG002 Dagster passes it
        """The parts of the environment that the process runs in."""
        return Installation()
