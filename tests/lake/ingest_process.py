"""One run of the protocol in a process of its own, which a failpoint may kill."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dms_assets.lake.commit_protocol import TableBusyError
from dms_assets.lake.landing import read_inbox
from dms_assets.lake.strangers import quarantine_strangers
from dms_assets.model import failpoints
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import World, folder_world


def ingest_once(home: Path, facts: dict[str, Any], plan: str) -> None:
    """Work in the world of `home`; `plan` is as in DMS_ASSETS_FAILPOINTS."""
    failpoints._PLAN.update(failpoints.parse(plan))
    with ValidationWorker() as worker:
        work(folder_world(home, worker, **facts))


def work(world: World) -> None:
    """What a tick and its run do: clear strangers away, ingest the table."""
    inbox = read_inbox(world.landing, world.spec)
    quarantine_strangers(world.stores, world.spec, inbox.strangers, datetime.now(UTC))
    world.ingest()


def ingest_until_idle(home: Path, facts: dict[str, Any], runs: int) -> None:
    """Ingest over and over, against other processes that do the same."""
    with ValidationWorker() as worker:
        world = folder_world(home, worker, **facts)
        for _ in range(runs):
            try:
                world.ingest()
            except TableBusyError:
                continue
