from __future__ import annotations

from tests.lake.conftest import worker, world

__all__ = ["worker", "world"]
