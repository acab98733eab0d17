"""The same contract for a folder and for S3."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from dms_assets.lake import folder_store
from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.object_store import (
    ObjectNotFoundError,
    ObjectStore,
    ObjectStoreError,
    PreconditionFailedError,
)


def test_what_is_put_is_got_and_listed(store: ObjectStore) -> None:
    put = store.put("a/b/one", b"1")
    store.put("a/c/two", b"22")
    store.put("ab", b"333")
    data, meta = store.get("a/b/one")
    assert data == b"1"
    assert meta == put == store.head("a/b/one")
    listed = {found.key: found for found in store.list("a/")}
    assert set(listed) == {"a/b/one", "a/c/two"}
    assert listed["a/b/one"] == meta
    assert {found.key for found in store.list()} == {"a/b/one", "a/c/two", "ab"}
    assert {found.key for found in store.list("a")} == {"a/b/one", "a/c/two", "ab"}
    assert list(store.list("no/such")) == []


def test_identity_of_listing_and_delivery_agree(store: ObjectStore) -> None:
    store.put("k", b"x")
    assert next(iter(store.list())).identity == store.get("k")[1].identity


def test_get_and_download_hold_to_the_condition(store: ObjectStore, tmp_path: Path) -> None:
    old = store.put("k", b"old")
    new = store.put("k", b"newer")
    assert old.etag != new.etag
    with pytest.raises(PreconditionFailedError):
        store.get("k", if_match=old.etag)
    with pytest.raises(PreconditionFailedError):
        store.download("k", tmp_path / "one", if_match=old.etag)
    assert store.download("k", tmp_path / "two", if_match=new.etag) == new
    assert (tmp_path / "two").read_bytes() == b"newer"


def test_absent_objects_are_named(store: ObjectStore, tmp_path: Path) -> None:
    for call in (
        lambda: store.get("gone"),
        lambda: store.head("gone"),
        lambda: store.download("gone", tmp_path / "x"),
        lambda: store.copy_to("gone", store, "there", if_match="x"),
    ):
        with pytest.raises(ObjectNotFoundError, match="gone"):
            call()


def test_put_only_where_nothing_is(store: ObjectStore) -> None:
    store.put("k", b"first", if_absent=True)
    with pytest.raises(PreconditionFailedError):
        store.put("k", b"second", if_absent=True)
    assert store.get("k")[0] == b"first"


def test_put_only_over_the_one_that_was_read(store: ObjectStore) -> None:
    first = store.put("k", b"first")
    second = store.put("k", b"second!", if_match=first.etag)
    with pytest.raises(PreconditionFailedError):
        store.put("k", b"third", if_match=first.etag)
    assert store.get("k") == (b"second!", second)


def test_put_of_a_local_file(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")
    store.put("k", tmp_path / "f")
    assert store.get("k")[0] == b"content"


def test_copy_holds_to_the_condition(store_maker: Any) -> None:
    source, target = store_maker("source"), store_maker("target")
    old = source.put("k", b"old")
    new = source.put("k", b"newer")
    with pytest.raises(PreconditionFailedError):
        source.copy_to("k", target, "deep/copy", if_match=old.etag)
    source.copy_to("k", target, "deep/copy", if_match=new.etag)
    assert target.get("deep/copy")[0] == b"newer"


def test_delete_spares_a_newer_object(store: ObjectStore) -> None:
    old = store.put("k", b"old")
    new = store.put("k", b"newer")
    with pytest.raises(PreconditionFailedError):
        store.delete("k", if_match=old.etag)
    assert store.get("k") == (b"newer", new)
    store.delete("k", if_match=new.etag)
    store.delete("k", if_match=new.etag)
    assert list(store.list()) == []


@pytest.mark.parametrize("key", ["a b", "a+b%2F", "[a]*?", "ä/ö", "x" * 200, "n\u0303"])
def test_odd_keys(store: ObjectStore, key: str) -> None:
    meta = store.put(key, b"odd")
    assert [found.key for found in store.list()] == [key]
    assert store.get(key, if_match=meta.etag)[0] == b"odd"
    store.delete(key, if_match=meta.etag)
    assert list(store.list()) == []


@pytest.mark.parametrize(
    "key", ["../out", "a/../../out", "/etc/passwd", "", "a//b", "a/./b", "a\0b", ".object-store/x"]
)
def test_a_folder_refuses_keys_that_lead_elsewhere(tmp_path: Path, key: str) -> None:
    with pytest.raises(ObjectStoreError):
        FolderStore(tmp_path / "root").put(key, b"x")
    assert not (tmp_path / "out").exists()


def test_an_etag_follows_bytes_and_time(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    path = tmp_path / "k"
    path.write_bytes(b"1")
    tags = {store.head("k").etag}
    path.write_bytes(b"22")
    tags.add(store.head("k").etag)
    os.utime(path, (1, 1))
    tags.add(store.head("k").etag)
    path.unlink()
    path.write_bytes(b"1")
    tags.add(store.head("k").etag)
    assert len(tags) == 4


def test_links_and_pipes_are_not_objects(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "dir").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    store = FolderStore(root)
    assert list(store.list()) == []
    for key in ("link", "pipe"):
        with pytest.raises(ObjectNotFoundError):
            store.get(key)


def test_a_delete_that_died_is_finished_or_taken_back(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    meant, other = store.put("a/meant", b"m"), store.put("a/other", b"o")
    aside = tmp_path / ".object-store" / "aside"
    for key, etag in (("a/meant", meant.etag), ("a/other", "not-this-one")):
        target = aside / etag / key
        target.parent.mkdir(parents=True)
        (tmp_path / key).rename(target)
    assert [found.key for found in store.list()] == ["a/other"]
    assert store.get("a/other", if_match=other.etag)[0] == b"o"


@pytest.mark.parametrize("after_making", [True, False])
def test_a_delete_goes_on_when_another_tidies_up_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, after_making: bool
) -> None:
    """Two workers delete the same object: one has set it aside, settled it and removes the folders for it."""
    store = FolderStore(tmp_path)
    meta = store.put("a/k", b"k")
    make, met = folder_store._make_folders, []

    def tidied(folder: Path) -> None:
        if not met:
            met.append(folder)
            if not after_making:
                raise FileNotFoundError(folder)
            make(folder)
            store._remove_empty(folder)
            return
        make(folder)

    monkeypatch.setattr(folder_store, "_make_folders", tidied)
    store.delete("a/k", if_match=meta.etag)
    assert len(met) == 1
    assert list(store.list()) == []


def test_deletes_race_with_writers_and_lose_nothing(tmp_path: Path) -> None:
    """A writer replaces the object all the time; only what was meant to be deleted may go."""
    store = FolderStore(tmp_path / "root")
    rounds = 300
    lost: list[int] = []

    def write(number: int) -> None:
        scratch = tmp_path / f"w{number}"
        scratch.write_bytes(b"%d" % number)
        scratch.rename(tmp_path / "root" / "k")

    spared = 0
    for number in range(rounds):
        meta = store.put("k", b"old")
        writer = threading.Thread(target=write, args=(number,))
        writer.start()
        try:
            store.delete("k", if_match=meta.etag)
        except PreconditionFailedError:
            spared += 1
        writer.join()
        if store.get("k")[0] != b"%d" % number:
            lost.append(number)
    assert lost == []
    assert spared > 0
