"""What makes DMS capture a source as soon as its metadata is known, and again when its database has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from dms_assets.dms import control
from dms_assets.dms.provision import provision
from dms_assets.dms.task_reader import find_task, task_identifier
from dms_assets.environment import LANDING_BUCKET
from dms_assets.installation import Installation
from dms_assets.model.source_spec import SourceSpec

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient

_RUNS = {"starting", "running"}


class MetadataUnknownError(LookupError):
    """Without metadata it is not known which columns cannot be captured."""

    def __init__(self, source: str, tables: list[str]) -> None:
        super().__init__(
            f"no metadata yet of {', '.join(tables)}; materialise the metadata assets of source '{source}' first, "
            "so that the task leaves out the columns that cannot be captured"
        )


def provision_source(installation: Installation, client: DatabaseMigrationServiceClient, spec: SourceSpec) -> str:
    """Create or correct what a source needs in DMS, by its metadata and its secret; the ARN of its task, not started.

    Raises MetadataUnknownError, SecretNotFoundError, and what `dms.provision.provision` raises.
    """
    known = installation.known_metadata(spec)
    if unknown := [str(name) for name in spec.table_names if name not in known]:
        raise MetadataUnknownError(spec.name, unknown)
    excluded = {name: metadata.excluded for name, metadata in known.items()}
    credentials = installation.environment.secret(spec.connection.secret)
    return provision(client, spec, credentials, LANDING_BUCKET, excluded)


def ensure_capture(installation: Installation, client: DatabaseMigrationServiceClient, spec: SourceSpec) -> str:
    """Provision a source and start its task the first time; what was done, as a sentence.

    A task that runs on the right database is left alone; one whose database has moved is resumed on the new address.
    One that somebody stopped, or that failed, stays so. Raises what `provision_source` and `control.start` raise.
    """
    identifier = task_identifier(spec.name)
    task = find_task(client, identifier)
    runs = task is not None and task.status in _RUNS
    if runs and _knows_address(installation, client, spec):
        return f"task {identifier} runs"
    if runs:
        control.pause(client, identifier)
    provision_source(installation, client, spec)
    if task is not None and not runs and task.fresh_start is not None:
        return f"task {identifier} stays {task.status}; start it with `dms-assets task start {spec.name}`"
    control.start(client, identifier)
    return f"task {identifier} " + ("goes on with the database's new address" if runs else "is started")


def _knows_address(installation: Installation, client: DatabaseMigrationServiceClient, spec: SourceSpec) -> bool:
    """Whether the source endpoint has the address that the secret has now."""
    secret = installation.environment.secret(spec.connection.secret)
    filters = [{"Name": "endpoint-id", "Values": [f"{task_identifier(spec.name)}-source"]}]
    try:
        rows = client.describe_endpoints(Filters=filters)["Endpoints"]  # type: ignore[arg-type]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundFault":
            raise
        return False
    return bool(rows) and (rows[0].get("ServerName"), rows[0].get("Port")) == (secret["host"], int(secret["port"]))
