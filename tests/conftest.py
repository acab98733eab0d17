"""Order of the suite: the whole-system tests take longest, so they begin first and a second worker does the rest."""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

_ONE_WORKER = ("tests/ui/", "tests/web/")
"""Folders whose tests share servers that take long to start: all their files go to one worker."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("system") is None)


class _ByFileOrFolder(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        folder = next((folder for folder in _ONE_WORKER if nodeid.startswith(folder)), None)
        return folder or super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """As `--dist loadfile`, but for these folders; other ways to distribute are left as they are."""
    return _ByFileOrFolder(config, log) if config.getvalue("dist") == "loadfile" else None
