"""Order of the suite: the whole-system tests take longest, so they begin first and a second worker does the rest."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("system") is None)
