"""What errors of S3 and of its client mean: which object, which reason, what to do. No header and no body is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)

from dms_assets.lake.object_store import ObjectNotFoundError, ObjectStoreError, PreconditionFailedError

BROKEN_BODY = (HTTPClientError, IncompleteReadError, FlexibleChecksumError)
"""An answer that began well and did not end so: the client does not repeat these by itself."""
CONFLICT = {"409", "ConditionalRequestConflict", "OperationAborted"}
"""Another request for the same object is under way; whose condition holds is not decided yet."""

_GONE = {"404", "NoSuchKey", "NotFound"}
_CONDITION = {"412", "PreconditionFailed"}
_RIGHTS = (
    "allow the process's role s3:ListBucket on the bucket, s3:GetObject, s3:PutObject and s3:DeleteObject in it, and "
    "kms:Decrypt and kms:GenerateDataKey on the key it is encrypted with"
)
_RENEW = "renew the credentials of the process; nothing is lost, the next run goes on"
_CHECK = "check the credentials of the process and the clock of its host"
_WAIT = "S3 is overloaded or the network is bad; nothing is lost, the next run goes on"
_REMEDIES = {
    "403": _RIGHTS,
    "AccessDenied": _RIGHTS,
    "AllAccessDisabled": _RIGHTS,
    "KMS.DisabledException": "enable the bucket's key of encryption",
    "KMS.NotFoundException": "restore the bucket's key of encryption, or give the bucket another",
    "400": _RENEW,  # HEAD has no body with S3's word, and nothing else that is asked for with it is answered so
    "ExpiredToken": _RENEW,
    "TokenRefreshRequired": _RENEW,
    "RequestExpired": _RENEW,
    "InvalidAccessKeyId": _CHECK,
    "InvalidToken": _CHECK,
    "SignatureDoesNotMatch": _CHECK,
    "RequestTimeTooSkewed": _CHECK,
    "NoSuchBucket": "make the bucket, or correct its name",
    "PermanentRedirect": "the bucket is in another region: set that",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set that",
}


def code_of(error: ClientError) -> str:
    """S3's own word for the error, or the HTTP status where an answer has no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def s3_errors(where: str) -> Iterator[None]:
    """Turn what the client raises into ObjectStoreError and its kinds; `where` names object and store."""
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code in _CONDITION:
            raise PreconditionFailedError(f"{where} is not in the state the request was meant for") from error
        if code in _GONE:
            raise ObjectNotFoundError(f"there is no {where}") from error
        raise ObjectStoreError(f"S3 refused a request for {where}: {error}; {_remedy(error)}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ObjectStoreError(f"no request for {where} could be signed: {error}; {_CHECK}") from error
    except BotoCoreError as error:
        raise ObjectStoreError(f"S3 did not answer a request for {where}: {error}; {_WAIT}") from error


def _remedy(error: ClientError) -> str:
    code = code_of(error)
    if code in _REMEDIES:
        return _REMEDIES[code]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in CONFLICT or status >= 500 or code in {"RequestTimeout", "SlowDown"}:
        return _WAIT
    return "see S3's own words for it"
