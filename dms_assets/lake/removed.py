"""What a sweep removed, or would remove."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Removed:
    """Number of things and their bytes, as far as they have a size."""

    count: int = 0
    size: int = 0

    def __add__(self, other: Removed) -> Removed:
        """Both together."""
        return Removed(self.count + other.count, self.size + other.size)


def total(parts: Iterable[Removed]) -> Removed:
    """All together."""
    return sum(parts, Removed())
