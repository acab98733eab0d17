"""S3 that is busy, says no, pages, and loses its answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from dms_assets.lake.object_store import ObjectNotFoundError, ObjectStoreError, PreconditionFailedError
from dms_assets.lake.s3_client import ATTEMPTS, s3_client
from dms_assets.lake.s3_store import S3Store
from dms_assets.lake.state_document import StateDocument
from tests.network.s3_faults import FaultyS3, S3Fault

REGION = "eu-west-2"
SECRET = "wJalrXUtnFEMI-planted-secret"
TOKEN = "planted-session-token"

Call = Callable[[S3Store, Path], Any]
READ: dict[str, Call] = {
    "list": lambda store, _: list(store.list()),
    "head": lambda store, _: store.head("a/k"),
    "get": lambda store, _: store.get("a/k"),
    "download": lambda store, path: store.download("a/k", path),
}
WRITE: dict[str, Call] = {
    "put": lambda store, _: store.put("a/n", b"new", if_absent=True),
    "copy": lambda store, _: store.copy_to("a/k", store, "b/k", if_match=store.head("a/k").etag),
    "delete": lambda store, _: store.delete("a/k", if_match=store.head("a/k").etag),
}


@pytest.fixture(scope="module")
def faulty(request: pytest.FixtureRequest) -> Iterator[FaultyS3]:
    s3 = request.getfixturevalue("s3")
    host, port = s3.meta.endpoint_url.removeprefix("http://").split(":")
    with FaultyS3((host, int(port))) as running:
        yield running


@pytest.fixture
def store(s3: Any, faulty: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """A bucket of its own behind the faults, with one object, through the client that the lake uses."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    bucket = f"faults-{tmp_path.name.replace('_', '-').lower()}"[:60].strip("-")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    host, port = faulty.address
    made = S3Store(s3_client(REGION, f"http://{host}:{port}"), bucket, "lake")
    made.put("a/k", b"old bytes")
    faulty.counts.clear()
    faulty.page = None
    return made


@pytest.mark.parametrize("fault", [S3Fault.SLOW_DOWN, S3Fault.INTERNAL])
@pytest.mark.parametrize("name", [*READ, *WRITE])
def test_a_moment_of_trouble_is_waited_out(
    store: S3Store, faulty: FaultyS3, tmp_path: Path, name: str, fault: S3Fault
) -> None:
    faulty.weather.next = [fault]
    (READ | WRITE)[name](store, tmp_path / "file")
    assert faulty.counts[fault.word] == 1


def test_a_storm_ends_the_request_after_a_known_number_of_attempts(
    store: S3Store, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.append))
    with faulty.planted({S3Fault.SLOW_DOWN: 1}), pytest.raises(ObjectStoreError) as caught:
        store.get("a/k")
    assert faulty.counts["requests"] == faulty.counts["503 SlowDown"] == ATTEMPTS
    assert len(pauses) == ATTEMPTS - 1
    assert sum(pauses) < 20
    assert "a/k in s3://faults-" in str(caught.value)
    assert "SlowDown" in str(caught.value)
    assert "the next run goes on" in str(caught.value)
    assert store.get("a/k")[0] == b"old bytes"


@pytest.mark.parametrize("fault", [S3Fault.DENIED, S3Fault.EXPIRED])
@pytest.mark.parametrize("name", [*READ, *WRITE])
def test_a_refusal_is_told_once_with_its_remedy_and_without_a_secret(
    store: S3Store, faulty: FaultyS3, tmp_path: Path, name: str, fault: S3Fault
) -> None:
    with faulty.planted({fault: 1}), pytest.raises(ObjectStoreError) as caught:
        (READ | WRITE)[name](store, tmp_path / "file")
    # A 400 without a word makes the client look whether the bucket is in another region.
    assert faulty.counts["requests"] <= 2, "what will not get better is not asked for again"
    told = str(caught.value)
    assert store.uri in told
    assert ("s3:GetObject" if fault is S3Fault.DENIED else "renew the credentials") in told
    chain = "".join(str(error) for error in (caught.value, caught.value.__cause__, caught.value.__context__))
    assert not [word for word in (SECRET, TOKEN, "AKIAPLANTED") if word in chain]


@pytest.mark.parametrize("fault", [S3Fault.CONFLICT, S3Fault.ABORTED])
def test_a_conflict_that_is_not_decided_is_asked_again_and_not_for_ever(
    store: S3Store, faulty: FaultyS3, fault: S3Fault
) -> None:
    faulty.weather.next = [fault]
    assert store.put("a/n", b"new", if_absent=True).size == 3
    assert faulty.counts[fault.word] == 1
    began = time.monotonic()
    with faulty.planted({fault: 1}), pytest.raises(ObjectStoreError) as caught:
        store.put("a/m", b"new", if_absent=True)
    assert not isinstance(caught.value, PreconditionFailedError), "whose condition holds is not known"
    assert faulty.counts[fault.word] == 1 + 4
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("conditional", ["if_absent", "if_match"])
def test_a_write_whose_answer_was_lost_took_effect(store: S3Store, faulty: FaultyS3, conditional: str) -> None:
    condition: dict[str, Any] = {"if_absent": True} if conditional == "if_absent" else {}
    if not condition:
        condition = {"if_match": store.put("a/n", b"before").etag}
    faulty.weather.next = [S3Fault.LOST]
    meta = store.put("a/n", b"ours", **condition)
    assert faulty.counts["answer lost after the effect"] == 1
    assert store.get("a/n", if_match=meta.etag)[0] == b"ours"


def test_the_same_bytes_of_another_are_not_taken_for_ours(store: S3Store) -> None:
    store.put("a/n", b"same", if_absent=True)
    with pytest.raises(PreconditionFailedError):
        store.put("a/n", b"same", if_absent=True)
    with pytest.raises(PreconditionFailedError):
        store.put("a/k", b"old bytes", if_match="0" * 32)


def test_a_document_is_changed_once_when_the_answer_is_lost(store: S3Store, faulty: FaultyS3) -> None:
    document = StateDocument(store, "state.json", format=1)
    document.change(lambda _: {"count": 1})
    for _ in range(3):
        # The read goes well, the write loses its answer.
        with faulty.planted({S3Fault.LOST: 0}):
            calls: list[int] = []

            def edit(content: Any, calls: list[int] = calls) -> Any:
                if not calls:
                    faulty.weather.next = [S3Fault.LOST]
                calls.append(1)
                return {"count": content["count"] + 1}

            document.change(edit)
    assert document.read() == {"count": 4}
    assert faulty.counts["answer lost after the effect"] == 3


def test_copies_and_deletes_whose_answer_was_lost_are_repeated(store: S3Store, faulty: FaultyS3) -> None:
    etag = store.head("a/k").etag
    faulty.weather.next = [S3Fault.LOST]
    store.copy_to("a/k", store, "b/k", if_match=etag)
    faulty.weather.next = [S3Fault.COPY_FAILED]
    store.copy_to("a/k", store, "b/k", if_match=etag)
    with pytest.raises(PreconditionFailedError):
        store.copy_to("a/k", store, "b/other", if_match="0" * 32)
    faulty.weather.next = [S3Fault.LOST]
    store.delete("a/k", if_match=etag)
    assert [meta.key for meta in store.list()] == ["b/k"]
    assert store.get("b/k")[0] == b"old bytes"
    assert faulty.counts["answer lost after the effect"] == 2
    assert faulty.counts["error in the body of a 200"] == 1


def test_a_body_that_breaks_off_is_read_again_from_its_beginning(
    store: S3Store, faulty: FaultyS3, tmp_path: Path
) -> None:
    faulty.weather.next = [S3Fault.HALF, S3Fault.HALF]
    assert store.get("a/k")[0] == b"old bytes"
    faulty.weather.next = [S3Fault.HALF]
    store.download("a/k", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old bytes"
    faulty.counts.clear()
    with faulty.planted({S3Fault.HALF: 1}), pytest.raises(ObjectStoreError, match="a/k in s3://"):
        store.get("a/k")
    assert faulty.counts["requests"] == faulty.counts["body cut off half way"] == 4


def test_a_bucket_that_is_not_there_is_not_an_object_that_is_gone(store: S3Store, faulty: FaultyS3) -> None:
    host, port = faulty.address
    other = S3Store(s3_client(REGION, f"http://{host}:{port}"), "no-such-bucket")
    for call in (lambda: list(other.list()), lambda: other.get("k"), lambda: other.delete("k", if_match="x")):
        with pytest.raises(ObjectStoreError, match="make the bucket") as caught:
            call()
        assert not isinstance(caught.value, ObjectNotFoundError)


def test_a_service_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store = S3Store(s3_client(REGION, "http://127.0.0.1:9", attempts=2), "bucket")
    with pytest.raises(ObjectStoreError, match=r"k in s3://bucket.*the next run goes on") as caught:
        store.get("k")
    assert SECRET not in str(caught.value)


def test_a_listing_of_many_pages_is_whole(store: S3Store, faulty: FaultyS3) -> None:
    wanted = {f"many/{number:05d}" for number in range(2_100)}
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for key in wanted:  # by HTTP it would take half a minute
        backend.put_object(store._bucket, f"lake/{key}", b"")
    assert {meta.key for meta in store.list("many/")} == wanted
    assert faulty.counts["further pages of listings"] == 2
    # Trouble in the middle of a listing, and an end to it.
    pages = iter(store.list("many/"))
    next(pages)
    faulty.weather.next = [S3Fault.SLOW_DOWN]
    assert 1 + len(list(pages)) == len(wanted)
    pages = iter(store.list("many/"))
    next(pages)
    with faulty.planted({S3Fault.DENIED: 1}), pytest.raises(ObjectStoreError, match="s3:ListBucket"):
        list(pages)
