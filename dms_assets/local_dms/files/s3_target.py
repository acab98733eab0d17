"""A bucket in S3."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions

from dms_assets.local_dms.faults import RecoverableError, TaskError
from dms_assets.local_dms.files.target import CHECK_NAME
from dms_assets.model import failpoints

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class S3Target:
    """A bucket in S3, or in something that speaks its protocol at `endpoint_url`."""

    def __init__(self, endpoint_url: str, bucket: str, workspace: Path) -> None:
        self.bucket = bucket
        self.workspace = workspace
        self._client: S3Client = boto3.client("s3", endpoint_url=endpoint_url, region_name="us-east-1")

    def publish(self, files: Sequence[tuple[Path, str]]) -> None:
        """See Target."""
        for path, key in files:
            with path.open("rb") as body:
                self._call("put_object", Key=key, Body=body)
            path.unlink()
            failpoints.reach("local_dms.between_files")

    def exists(self, key: str) -> bool:
        """See Target."""
        found = self._call("list_objects_v2", Prefix=key, MaxKeys=1)
        return any(entry["Key"] == key for entry in found.get("Contents", []))

    def delete_below(self, prefix: str) -> None:
        """See Target."""
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                self._call("delete_object", Key=entry["Key"])

    def check(self, folder: str) -> None:
        """See Target."""
        key = f"{folder}/{CHECK_NAME}_{uuid.uuid4().hex}".lstrip("/")
        self._call("put_object", Key=key, Body=b"")
        self._call("delete_object", Key=key)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self.bucket, **parameters)
        except botocore.exceptions.ClientError as error:
            raise TaskError(f"Bucket {self.bucket}: {error}; check its name and the rights on it.") from error
        except botocore.exceptions.BotoCoreError as error:
            raise RecoverableError(f"Bucket {self.bucket} cannot be reached: {error}") from error
        return answer
