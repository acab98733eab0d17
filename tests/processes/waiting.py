"""Waiting for what a busy machine does: looked at a few times a second, so that the looks cost it little."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

PATIENCE_S = 240.0
_EVERY_S = 0.3


class NotReachedError(AssertionError):
    """What was waited for did not come in time."""


def wait_for(what: str, look: Callable[[], Found], patience_s: float = PATIENCE_S) -> Found:
    """What `look` finds as soon as it is something. Raises NotReachedError."""
    deadline = time.monotonic() + patience_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise NotReachedError(f"not reached in {patience_s:.0f} s: {what}")
        time.sleep(_EVERY_S)
    return found
