"""How a task ended is stored, however often that fails: nobody else would ever say that it does not run."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from dms_assets.local_dms import runner
from dms_assets.local_dms.context import TaskContext
from dms_assets.local_dms.faults import TaskError
from dms_assets.local_dms.runner import TaskRunner
from dms_assets.local_dms.store import Store

ARN = "arn:aws:dms:eu-west-1:000000000000:task:ONE"


class _FullStore(Store):
    """A state whose disk has no room for `refusals` more documents."""

    refusals = 0

    def update(self, arn: str, **changes: Any) -> dict[str, Any]:
        if self.refusals:
            self.refusals -= 1
            raise sqlite3.OperationalError("database or disk is full")
        return super().update(arn, **changes)


def _without_secret(stop: threading.Event, wake: threading.Event) -> TaskContext:
    raise TaskError("its secret is gone")


def test_how_a_task_ended_is_stored_once_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_END_RETRY_S", 0.01)
    store = _FullStore(tmp_path / "state")
    store.put("task", ARN, "one", {"ReplicationTaskIdentifier": "one", "Status": "starting"})
    store.refusals = 3
    task = TaskRunner(_without_secret, ARN, store)
    task.start()
    assert task.join(30)
    assert store.refusals == 0
    assert store.get(ARN)["Status"] == "failed"
    events = [event["Message"] for event in store.events()]
    assert [message for message in events if "its secret is gone" in message] == events
    assert len(events) == 1, "what was rolled back is not told twice"
    store.close()
