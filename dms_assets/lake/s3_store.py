"""An S3 bucket, or a prefix of one, as an object store: every condition is checked by S3 itself."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from botocore.exceptions import ClientError

from dms_assets.lake.object_store import ObjectMeta, ObjectNotFoundError, ObjectStore
from dms_assets.lake.s3_errors import BROKEN_BODY, CONFLICT, code_of, s3_errors

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

_CHUNK = 1 << 20
_MARK = "dms-assets-request"
_PAUSES_S = (0.1, 0.4, 1.6)
"""Between attempts that the client does not make by itself."""


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
        with self._errors(prefix or "the objects"):
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
        return self._fetch(key, if_match, lambda body: body.read())

    def download(self, key: str, path: Path, *, if_match: str | None = None) -> ObjectMeta:
        """See ObjectStore."""
        with path.open("xb") as file:

            def write(body: StreamingBody) -> None:
                file.seek(0)
                file.truncate()
                for chunk in body.iter_chunks(_CHUNK):
                    file.write(chunk)

            return self._fetch(key, if_match, write)[1]

    def _fetch(self, key: str, if_match: str | None, take: Callable[[StreamingBody], T]) -> tuple[T, ObjectMeta]:
        """GET, and take in the body; again from its beginning if the body breaks off, which the client leaves to us."""
        with self._errors(key):
            for pause in (*_PAUSES_S, None):
                found = self._client.get_object(**self.address(key), **_if_match(if_match))
                try:
                    taken = take(found["Body"])
                except BROKEN_BODY:
                    if pause is None:
                        raise
                    _wait(pause)
                else:
                    return taken, _meta(key, found["ContentLength"], found["ETag"], found["LastModified"])
        raise AssertionError("the last attempt returns or raises")

    def put(self, key: str, data: bytes | Path, *, if_match: str | None = None, if_absent: bool = False) -> ObjectMeta:
        """See ObjectStore.

        A request whose answer was lost is sent again by the client, and its own effect then contradicts its condition:
        the object carries a mark of the request, by which it is known again.
        """
        condition = {"IfNoneMatch": "*"} if if_absent else _if_match(if_match)
        mark = {_MARK: uuid.uuid4().hex}
        with self._errors(key):
            try:
                _unless_conflict(lambda: self._put(key, data, {**condition, "Metadata": mark}))
            except ClientError as error:
                if not condition or code_of(error) not in {"412", "PreconditionFailed"} or not self._bears(key, mark):
                    raise
        return self.head(key)

    def _put(self, key: str, data: bytes | Path, parameters: Mapping[str, Any]) -> None:
        if isinstance(data, Path):
            with data.open("rb") as file:
                self._client.put_object(**self.address(key), Body=file, **parameters)
        else:
            self._client.put_object(**self.address(key), Body=data, **parameters)

    def _bears(self, key: str, mark: Mapping[str, str]) -> bool:
        try:
            return dict(self._client.head_object(**self.address(key))["Metadata"]) == mark
        except ClientError as error:
            if code_of(error) == "404":
                return False
            raise

    def copy_to(self, key: str, target: ObjectStore, target_key: str, *, if_match: str) -> ObjectMeta:
        """See ObjectStore; the target must be S3 too (TypeError). S3 copies by itself, no byte comes here."""
        if not isinstance(target, S3Store):
            raise TypeError(
                f"cannot copy from {self.uri} to {target.uri}: give landing and archive the same kind of store"
            )
        with self._errors(key):
            _unless_conflict(
                lambda: self._client.copy_object(
                    **target.address(target_key),
                    CopySource={"Bucket": self._bucket, "Key": self._prefix + key},
                    CopySourceIfMatch=if_match,
                )
            )
        return target.head(target_key)

    def delete(self, key: str, *, if_match: str) -> None:
        """See ObjectStore."""
        try:
            with self._errors(key):
                _unless_conflict(lambda: self._client.delete_object(**self.address(key), IfMatch=if_match))
        except ObjectNotFoundError:
            return

    def _errors(self, key: str) -> AbstractContextManager[None]:
        return s3_errors(f"{key} in {self.uri}")


def _unless_conflict(request: Callable[[], object]) -> None:
    """Send a request, and again while S3 says that another one for the object is under way; not for ever."""
    for pause in (*_PAUSES_S, None):
        try:
            request()
        except ClientError as error:
            if code_of(error) not in CONFLICT or pause is None:
                raise
            _wait(pause)
        else:
            return


def _wait(seconds: float) -> None:
    # Not all at once again: others wait for the same object.
    time.sleep(random.uniform(seconds / 2, seconds))  # noqa: S311 no secret


def _if_match(etag: str | None) -> dict[str, Any]:
    return {} if etag is None else {"IfMatch": etag}


def _meta(key: str, size: int, etag: str, at: datetime) -> ObjectMeta:
    return ObjectMeta(key, size, etag.strip('"'), at.astimezone(UTC).replace(microsecond=0))
