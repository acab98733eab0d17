"""moto ignores `x-amz-copy-source-if-match`; S3 does not. This makes a client refuse such copies as S3 would."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders


class _Body:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self._body

    def read(self, *_: Any, **__: Any) -> bytes:
        return self._body


def honour_copy_condition(client: Any) -> None:
    def check(request: Any, **_: Any) -> AWSResponse | None:
        wanted = request.headers.get("x-amz-copy-source-if-match")
        if wanted is None:
            return None
        text = wanted.decode() if isinstance(wanted, bytes) else wanted
        source = request.headers["x-amz-copy-source"]
        bucket, key = unquote(source.decode() if isinstance(source, bytes) else source).lstrip("/").split("/", 1)
        found = {
            entry["Key"]: entry["ETag"].strip('"')
            for entry in client.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
        }
        if key not in found or found[key] == text.strip('"'):
            return None
        body = b"<Error><Code>PreconditionFailed</Code><Message>copy source</Message></Error>"
        return AWSResponse(request.url, 412, HTTPHeaders.from_dict({"Content-Type": "application/xml"}), _Body(body))

    client.meta.events.register("before-send.s3.CopyObject", check)
