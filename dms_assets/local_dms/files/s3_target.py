"""A bucket in S3."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions
from botocore.config import Config

from dms_assets.local_dms.faults import RecoverableError, TaskError
from dms_assets.local_dms.files.target import CHECK_NAME
from dms_assets.model import failpoints

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=10, read_timeout=60, tcp_keepalive=True
)
_TRANSIENT = frozenset({408, 409, 429})
_SERVER_ERROR = 500
_SLOW_CLIENT = "RequestTimeout"
"""S3 answers it with status 400."""


class S3Target:
    """A bucket in S3, or in something that speaks its protocol at `endpoint_url`.

    A service that is busy or away is RecoverableError, and the task tries again; a refusal is TaskError.
    """

    def __init__(self, endpoint_url: str, bucket: str, workspace: Path) -> None:
        self.bucket = bucket
        self.workspace = workspace
        self._client: S3Client = boto3.client("s3", endpoint_url=endpoint_url, region_name="us-east-1", config=_CONFIG)

    def publish(self, files: Sequence[tuple[Path, str]]) -> None:
        """See Target."""
        for path, key in files:
            with self._errors(), path.open("rb") as body:
                self._client.put_object(Bucket=self.bucket, Key=key, Body=body)
            path.unlink()
            failpoints.reach("local_dms.between_files")

    def exists(self, key: str) -> bool:
        """See Target."""
        with self._errors():
            found = self._client.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=1)
        return any(entry["Key"] == key for entry in found.get("Contents", []))

    def delete_below(self, prefix: str) -> None:
        """See Target."""
        with self._errors():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    self._client.delete_object(Bucket=self.bucket, Key=entry["Key"])

    def check(self, folder: str) -> None:
        """See Target."""
        key = f"{folder}/{CHECK_NAME}_{uuid.uuid4().hex}".lstrip("/")
        with self._errors():
            self._client.put_object(Bucket=self.bucket, Key=key, Body=b"")
            self._client.delete_object(Bucket=self.bucket, Key=key)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except botocore.exceptions.ClientError as error:
            status, code = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
            if status in _TRANSIENT or status >= _SERVER_ERROR or code == _SLOW_CLIENT:
                raise RecoverableError(f"Bucket {self.bucket} does not take requests now: {error}") from error
            raise TaskError(f"Bucket {self.bucket}: {error}; check its name and the rights on it.") from error
        except botocore.exceptions.BotoCoreError as error:
            raise RecoverableError(f"Bucket {self.bucket} cannot be reached: {error}") from error
