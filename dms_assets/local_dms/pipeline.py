"""Two small threads that let reading, decoding and writing overlap, with their errors and their order kept."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")
_POLL_S = 0.2


class _End(Generic[T]):
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextmanager
def reading_ahead(items: Iterator[T], depth: int = 2) -> Iterator[Iterator[T]]:
    """The same items, read by a thread that is at most `depth` ahead; its errors are raised where they are awaited.

    Leaving the context ends the thread, at the latest when the item it is reading has come.
    """
    ready: queue.Queue[T | _End[T]] = queue.Queue(depth)
    leaving = threading.Event()

    def put(item: T | _End[T]) -> None:
        while not leaving.is_set():
            try:
                ready.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return

    def read() -> None:
        try:
            for item in items:
                put(item)
                if leaving.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - handed to the reader, which raises it
            put(_End(error))
            return
        put(_End(None))

    def taken() -> Iterator[T]:
        while True:
            item = ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            # Not kept here while it is worked on: it may be large.
            held = [item]
            del item
            yield held.pop()

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        leaving.set()
        thread.join()


class Background:
    """Runs jobs one after the other in a thread; `submit` waits when too many wait, and raises their first error."""

    def __init__(self, waiting: int = 3) -> None:
        self._pool = ThreadPoolExecutor(1, "writer")
        self._waiting = waiting
        self._jobs: deque[Future[None]] = deque()

    def submit(self, job: Callable[[], None]) -> None:
        """Add a job. Raises what an earlier job raised."""
        while len(self._jobs) >= self._waiting:
            self._jobs.popleft().result()
        self._jobs.append(self._pool.submit(job))

    def drain(self) -> None:
        """Wait for all jobs. Raises what one of them raised."""
        while self._jobs:
            self._jobs.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
