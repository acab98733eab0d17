"""One table taken in from S3 to S3 over a bad line to a bad service, until nothing is left: every row once."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from unittest import mock

from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from dms_assets.lake.commit_protocol import TableBusyError
from dms_assets.lake.iceberg import local_catalog
from dms_assets.lake.object_store import ObjectStoreError
from dms_assets.lake.quarantine import QuarantineError
from dms_assets.lake.s3_client import ATTEMPTS, s3_client
from dms_assets.lake.s3_store import S3Store
from dms_assets.lake.stores import LakeStores
from dms_assets.sample.loopback import HOST
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import World
from tests.network.proxy import Proxy
from tests.network.s3_faults import FaultyS3, S3Fault
from tests.simulation.bad_network import until_nothing_is_left

NAMES = ("landing", "archive", "quarantine", "ledger")
REGION = "eu-west-2"
PAGE = 3
CALM = 2
READ_TIMEOUT_S = 3.0
"""Shorter than in earnest, so that a hole of some seconds is met by a client that gives up."""

SOME = {
    S3Fault.SLOW_DOWN: 0.03,
    S3Fault.INTERNAL: 0.03,
    S3Fault.ABORTED: 0.02,
    S3Fault.CONFLICT: 0.3,
    S3Fault.LOST: 0.04,
    S3Fault.SLOW_CLIENT: 0.02,
    S3Fault.HALF: 0.05,
    S3Fault.COPY_FAILED: 0.05,
}
REFUSALS = {S3Fault.DENIED: 0.02, S3Fault.EXPIRED: 0.02}


KINDS = ("answers", "refusals", "slow", "resets", "storm", "hole")


class S3Line:
    """The lake's stores behind a proxy, behind faults, behind an emulated S3. One after the other, in one folder."""

    def __init__(self, folder: Path, seed: int, worker: ValidationWorker) -> None:
        self.seen: Counter[str] = Counter()
        self._folder = folder
        self._random = Random(seed)
        self._seed = seed
        self._worker = worker
        self._coming: list[str] = []
        self._spells = 0

    def run(self, rounds: int, hole_s: float) -> Counter[str]:
        """What took place. Raises AssertionError if a row is lost or there twice, or requests are without bound."""
        keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
        with ExitStack() as stack:
            stack.enter_context(mock.patch.dict(os.environ, keys))
            logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it tells of every request
            moto = ThreadedMotoServer(port=0, verbose=False)
            moto.start()
            stack.callback(moto.stop)
            host, port = moto.get_host_and_port()
            faulty = stack.enter_context(FaultyS3((host, port), self._seed, PAGE))
            proxy = stack.enter_context(Proxy(faulty.address, self._seed))
            world = self._world(f"http://{host}:{port}", f"http://{HOST}:{proxy.port}")
            until_nothing_is_left(world, self._random, lambda: self._weather(proxy, faulty, hole_s), rounds, CALM)
            self.seen.update(proxy.counts)
            self.seen.update(faulty.counts)
        return self.seen

    def _world(self, behind: str, address: str) -> World:
        maker, client = s3_client(REGION, behind), s3_client(REGION, address, read_timeout_s=READ_TIMEOUT_S)
        for name in NAMES:
            bucket = f"{name}-{self._seed}"
            maker.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})  # type: ignore[typeddict-item]
        landing, archive, quarantine, ledger = (S3Store(client, f"{name}-{self._seed}", "lake") for name in NAMES)
        catalog = local_catalog(self._folder / "lake")
        stores = LakeStores(landing, archive, quarantine, ledger, catalog, self._folder / "lake" / "scratch")
        return World(self._folder, landing, stores, self._worker)

    @contextmanager
    def _weather(self, proxy: Proxy, faulty: FaultyS3, hole_s: float) -> Iterator[None]:
        """One kind of trouble, each in its turn; a run that it ends is counted."""
        self._spells += 1
        if self._spells % 2:
            self._coming = self._coming or self._random.sample(KINDS, len(KINDS))
            kind = self._coming.pop()
        else:
            kind = "answers"  # of an operator's decisions, few requests each
        with ExitStack() as stack:
            match kind:
                case "answers":
                    stack.enter_context(faulty.planted(SOME, due=SOME))
                case "refusals":
                    stack.enter_context(
                        faulty.planted(REFUSALS, due=[[*REFUSALS][self.seen["spells of refusals"] % 2]])
                    )
                case "slow":
                    stack.enter_context(proxy.latency(0.1))
                case "resets":
                    stack.enter_context(proxy.resets(0.05))
                case "storm":
                    stack.enter_context(faulty.planted({S3Fault.SLOW_DOWN: 1.0}))
            self.seen[f"spells of {kind}"] += 1
            try:
                with self._hole_at_first(proxy, hole_s if kind == "hole" else 0):
                    yield
            except (ObjectStoreError, TableBusyError, QuarantineError) as error:
                self.seen[f"runs ended by {type(error).__name__} ({kind})"] += 1
                # Counted by the client: what was under way in a hole arrives late, and counts at the other end then.
                if isinstance(error.__cause__, ClientError):
                    made = 1 + error.__cause__.response["ResponseMetadata"]["RetryAttempts"]
                    assert made <= ATTEMPTS, f"{made} attempts at one request"
                    self.seen[f"requests given up after {made} attempts"] += 1

    @contextmanager
    def _hole_at_first(self, proxy: Proxy, seconds: float) -> Iterator[None]:
        """Inside, nothing gets through for the first seconds."""
        if not seconds:
            yield
            return
        began = threading.Event()

        def cut() -> None:
            with proxy.hole():
                began.set()
                time.sleep(seconds)

        thread = threading.Thread(target=cut)
        thread.start()
        began.wait()
        try:
            yield
        finally:
            thread.join()
