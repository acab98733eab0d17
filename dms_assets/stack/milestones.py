"""The way of a new stack to its first curated tables, without a human: metadata, capture, load, first build."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from dms_assets.dms.control import TaskStateError
from dms_assets.dms.provision import ConnectionFailedError
from dms_assets.dms.task_reader import TaskNotFoundError
from dms_assets.environment import SecretNotFoundError
from dms_assets.installation import Installation
from dms_assets.model.engine import EngineNotSupportedError
from dms_assets.model.source_spec import SourceSpec
from dms_assets.stack.capture import ensure_capture
from dms_assets.stack.looks import Looks, TaskEndedError

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient

_LOOK_EVERY_S = 2.0
_AGAIN_AFTER_S = 30.0
_EXPECTED = (
    ClientError,
    BotoCoreError,
    ConnectionFailedError,
    EngineNotSupportedError,
    SecretNotFoundError,
    TaskNotFoundError,
    TaskStateError,
    OSError,
)
"""What DMS and the source may answer: told, and tried again."""


class Milestones:
    """Takes every source from one milestone to the next, and tells each once.

    In a thread of its own, as DMS takes its time to answer. A source that fails keeps no other from going on.
    """

    def __init__(
        self,
        installation: Installation,
        client: Callable[[], DatabaseMigrationServiceClient],
        specs: Sequence[SourceSpec],
        say: Callable[[str], None],
    ) -> None:
        self._installation, self._make_client, self._say = installation, client, say
        self._specs = {spec.name: spec for spec in specs}
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, name="milestones", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the thread early, if anything did."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """No further look; one that waits for DMS is not awaited."""
        self._stop.set()

    def _guarded(self) -> None:
        try:
            self._walk()
        except BaseException as error:  # noqa: BLE001  handed to the thread that calls check
            self._failure = error

    def _walk(self) -> None:
        client = self._make_client()
        looks = {name: Looks(self._installation, client, spec) for name, spec in self._specs.items()}
        ways = {name: self._way(look) for name, look in looks.items()}
        due = dict.fromkeys(ways, 0.0)
        while ways and not self._stop.wait(_LOOK_EVERY_S):
            for name in [name for name in ways if due[name] <= time.monotonic()]:
                try:
                    next(ways[name])
                except StopIteration:
                    del ways[name]
                except _EXPECTED as error:
                    self._say(f"source {name}: {error}")
                    ways[name] = self._way(looks[name])
                    due[name] = time.monotonic() + _AGAIN_AFTER_S

    def _way(self, looks: Looks) -> Iterator[None]:
        """One look a step."""
        name, tables = looks.spec.name, len(looks.spec.tables)
        yield from self._until(looks.no_metadata, f"source {name}: metadata of {tables} tables is known")
        self._say(f"source {name}: {ensure_capture(self._installation, looks.client, looks.spec)}")
        try:
            yield from self._until(looks.not_loaded, f"source {name}: {tables} tables are loaded")
            yield from self._until(looks.not_curated, f"source {name}: {tables} tables are curated")
        except TaskEndedError as error:
            self._say(f"source {name}: {error}")

    def _until(self, look: Callable[[], str | None], reached: str) -> Iterator[None]:
        """Yield until nothing is missing; what was so from the beginning is not told."""
        waited = False
        while look() is not None:
            waited = True
            yield
        if waited:
            self._say(reached)
