"""An S3 bucket, or a prefix of one, as an object store: every condition is checked by S3 itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from botocore.exceptions import ClientError

from dms_assets.lake.object_store import (
    ObjectMeta,
    ObjectNotFoundError,
    ObjectStore,
    ObjectStoreError,
    PreconditionFailedError,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK = 1 << 20
_GONE = {"404", "NoSuchKey", "NotFound", "NoSuchBucket"}
_CONDITION = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}


class ObjectAddress(TypedDict):
    """Where an object is in S3."""

    Bucket: str
    Key: str


class S3Store:
    """Objects below `prefix` of a bucket; keys are relative to it.

    `last_modified` has whole seconds: a listing and a GET of one object must agree (the header has no more).
    Uses ListObjectsV2, HeadObject, GetObject, PutObject, CopyObject and DeleteObject; a copy is at most 5 GB.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def address(self, key: str) -> ObjectAddress:
        """Bucket and full key of an object, as S3 requests name them."""
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def list(self, prefix: str = "") -> Iterator[ObjectMeta]:
        """See ObjectStore; one request per thousand objects."""
        pages = self._client.get_paginator("list_objects_v2")
        with self._errors(prefix):
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for entry in page.get("Contents", []):
                    key = entry["Key"].removeprefix(self._prefix)
                    yield _meta(key, entry["Size"], entry["ETag"], entry["LastModified"])

    def head(self, key: str) -> ObjectMeta:
        """See ObjectStore."""
        with self._errors(key):
            found = self._client.head_object(**self.address(key))
        return _meta(key, found["ContentLength"], found["ETag"], found["LastModified"])

    def get(self, key: str, *, if_match: str | None = None) -> tuple[bytes, ObjectMeta]:
        """See ObjectStore."""
        with self._errors(key):
            found = self._client.get_object(**self.address(key), **_if_match(if_match))
            data = found["Body"].read()
        return data, _meta(key, found["ContentLength"], found["ETag"], found["LastModified"])

    def download(self, key: str, path: Path, *, if_match: str | None = None) -> ObjectMeta:
        """See ObjectStore."""
        with self._errors(key), path.open("xb") as file:
            found = self._client.get_object(**self.address(key), **_if_match(if_match))
            for chunk in found["Body"].iter_chunks(_CHUNK):
                file.write(chunk)
        return _meta(key, found["ContentLength"], found["ETag"], found["LastModified"])

    def put(self, key: str, data: bytes | Path, *, if_match: str | None = None, if_absent: bool = False) -> ObjectMeta:
        """See ObjectStore."""
        condition = {"IfNoneMatch": "*"} if if_absent else _if_match(if_match)
        with self._errors(key):
            if isinstance(data, Path):
                with data.open("rb") as file:
                    self._client.put_object(**self.address(key), Body=file, **condition)
            else:
                self._client.put_object(**self.address(key), Body=data, **condition)
        return self.head(key)

    def copy_to(self, key: str, target: ObjectStore, target_key: str, *, if_match: str) -> ObjectMeta:
        """See ObjectStore; the target must be S3 too (TypeError). S3 copies by itself, no byte comes here."""
        if not isinstance(target, S3Store):
            raise TypeError(
                f"cannot copy from {self.uri} to {target.uri}: give landing and archive the same kind of store"
            )
        with self._errors(key):
            self._client.copy_object(
                **target.address(target_key),
                CopySource={"Bucket": self._bucket, "Key": self._prefix + key},
                CopySourceIfMatch=if_match,
            )
        return target.head(target_key)

    def delete(self, key: str, *, if_match: str) -> None:
        """See ObjectStore."""
        try:
            with self._errors(key):
                self._client.delete_object(**self.address(key), IfMatch=if_match)
        except ObjectNotFoundError:
            return

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            where = f"{key} in {self.uri}"
            if code in _CONDITION:
                raise PreconditionFailedError(f"{where} is not in the state the request was meant for") from error
            if code in _GONE:
                raise ObjectNotFoundError(f"there is no {where}") from error
            raise ObjectStoreError(f"S3 refused a request for {where}: {error}") from error


def _if_match(etag: str | None) -> dict[str, Any]:
    return {} if etag is None else {"IfMatch": etag}


def _meta(key: str, size: int, etag: str, at: datetime) -> ObjectMeta:
    return ObjectMeta(key, size, etag.strip('"'), at.astimezone(UTC).replace(microsecond=0))
