"""The S3 client of the lake: how long it waits and how often it asks again are said here, not left to defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ATTEMPTS = 5
"""Requests at most for one that S3 did not answer, or answered with 500, 503 or 'slow down', with growing pauses."""
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10, 60


def s3_client(
    region: str, endpoint_url: str | None = None, *, read_timeout_s: float = READ_TIMEOUT_S, attempts: int = ATTEMPTS
) -> S3Client:
    """A client with the process's own credentials; `endpoint_url` is for something else that speaks S3."""
    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        tcp_keepalive=True,
    )
    client: S3Client = boto3.client("s3", region_name=region, endpoint_url=endpoint_url, config=config)
    return client
