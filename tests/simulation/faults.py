"""Stores and a catalog whose requests go wrong: refused, lost after they took effect, hanging, slow."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from pyiceberg.catalog import Catalog

from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.object_store import ObjectMeta, ObjectStore, ObjectStoreError

T = TypeVar("T")

HANG_S, SLOW_S = 0.2, 0.03
"""After so long the client of a request that hangs gives up; so much later a slow one answers."""
COMMITS_OFTEN = 5
"""A run has one commit among its many requests: it goes wrong so many times as often."""


class Fault(StrEnum):
    """What may become of a request."""

    REJECT = "refused"
    LOST = "answer lost after the effect"
    HANG = "hung"
    HANG_AFTER = "hung after the effect"
    SLOW = "slow"


class PlantedError(ObjectStoreError, ConnectionError):
    """The error that the caller of a request that went wrong sees."""


class Faults:
    """Lets requests go wrong by chance. `counts` has those that did, by what went wrong with which kind of request."""

    def __init__(self, random: Random, probability: float) -> None:
        self._random = random
        self._probability = probability
        self.active = True
        self.counts: Counter[str] = Counter()

    def request(self, name: str, call: Callable[[], T], *, writes: bool, often: int = 1) -> T:
        """Carry a request out, or not, which is `often` times as likely. Raises PlantedError, and what it raises."""
        if not self.active or self._random.random() >= self._probability * often:
            return call()
        fault = self._random.choice([f for f in Fault if writes or f not in {Fault.LOST, Fault.HANG_AFTER}])
        if fault is Fault.SLOW:
            time.sleep(SLOW_S)
        answer = call() if fault in {Fault.SLOW, Fault.LOST, Fault.HANG_AFTER} else None
        # Counted here: a request that was refused by its own condition had no effect to lose.
        self.counts[fault] += 1
        self.counts[name] += 1
        self.counts[f"{name}: {fault}"] += 1
        if fault is Fault.SLOW:
            return answer  # type: ignore[return-value]  # it was called
        if fault in {Fault.HANG, Fault.HANG_AFTER}:
            time.sleep(HANG_S)
            raise PlantedError(f"planted: {name} timed out after {HANG_S} s")
        raise PlantedError(f"planted: {name}: 503 SlowDown, or the connection was reset")


class FaultyStore(FolderStore):
    """A folder as a bucket behind a bad network."""

    def __init__(self, root: Path, faults: Faults) -> None:
        super().__init__(root)
        self._faults = faults

    def list(self, prefix: str = "") -> Iterator[ObjectMeta]:
        """See ObjectStore; a listing may end in the middle."""
        pages = list(super().list(prefix))
        yield from pages[: len(pages) // 2]
        yield from self._faults.request("list", lambda: pages[len(pages) // 2 :], writes=False)

    def head(self, key: str) -> ObjectMeta:
        """See ObjectStore."""
        return self._faults.request("head", lambda: FolderStore.head(self, key), writes=False)

    def get(self, key: str, *, if_match: str | None = None) -> tuple[bytes, ObjectMeta]:
        """See ObjectStore."""
        return self._faults.request("get", lambda: FolderStore.get(self, key, if_match=if_match), writes=False)

    def download(self, key: str, path: Path, *, if_match: str | None = None) -> ObjectMeta:
        """See ObjectStore."""
        return self._faults.request(
            "get", lambda: FolderStore.download(self, key, path, if_match=if_match), writes=False
        )

    def put(self, key: str, data: bytes | Path, *, if_match: str | None = None, if_absent: bool = False) -> ObjectMeta:
        """See ObjectStore."""
        return self._faults.request(
            "put", lambda: FolderStore.put(self, key, data, if_match=if_match, if_absent=if_absent), writes=True
        )

    def copy_to(self, key: str, target: ObjectStore, target_key: str, *, if_match: str) -> ObjectMeta:
        """See ObjectStore."""
        return self._faults.request(
            "copy", lambda: FolderStore.copy_to(self, key, target, target_key, if_match=if_match), writes=True
        )

    def delete(self, key: str, *, if_match: str) -> None:
        """See ObjectStore."""
        self._faults.request("delete", lambda: FolderStore.delete(self, key, if_match=if_match), writes=True)


def make_faulty(catalog: Catalog, faults: Faults) -> None:
    """Let requests to a catalog go wrong: those that read a table, and those that commit to it."""
    commit, load = catalog.commit_table, catalog.load_table

    def commit_table(*arguments: Any) -> Any:
        return faults.request("commit", lambda: commit(*arguments), writes=True, often=COMMITS_OFTEN)

    def load_table(*arguments: Any, **named: Any) -> Any:
        return faults.request("load table", lambda: load(*arguments, **named), writes=False)

    catalog.commit_table = commit_table  # type: ignore[method-assign, assignment]
    catalog.load_table = load_table  # type: ignore[method-assign]
