"""The running tasks of this process."""

from __future__ import annotations

import json
import logging
import threading
from functools import partial

from dms_assets.dms.table_mappings import TableMappingError, parse_mappings
from dms_assets.dms.task_status import ACTIVE, STOPPING
from dms_assets.local_dms.attributes import endpoint_settings
from dms_assets.local_dms.connections import Wiring
from dms_assets.local_dms.context import TaskContext
from dms_assets.local_dms.faults import RecoverableError, TaskError
from dms_assets.local_dms.files.layout import FileLayout
from dms_assets.local_dms.postgres.publication import drop_publications
from dms_assets.local_dms.postgres.slot import drop_slot, slot_name
from dms_assets.local_dms.runner import TaskRunner
from dms_assets.local_dms.settings import TaskSettings, source_options
from dms_assets.local_dms.store import Store

log = logging.getLogger("local_dms")

_STOP_WAIT_S = 60.0


class Supervisor:
    """Starts, stops and resumes task threads; safe to call from several threads."""

    def __init__(self, store: Store, wiring: Wiring) -> None:
        self._store = store
        self._wiring = wiring
        self._runners: dict[str, TaskRunner] = {}
        self._lock = threading.Lock()

    def run(self, arn: str) -> None:
        """Run a task in a thread of its own; one that is just ending is awaited first.

        One that is `stopping` already only writes what is there to be read, and stops.
        """
        with self._lock:
            earlier = self._runners.get(arn)
            if earlier is not None:
                earlier.join(_STOP_WAIT_S)
            runner = TaskRunner(partial(self._context, arn), arn, self._store)
            if self._store.get(arn)["Status"] == STOPPING:
                runner.stop()
            runner.start()
            self._runners[arn] = runner

    def stop(self, arn: str) -> None:
        """Ask a task to stop, which is stored as `stopping`: one that is about to run reads that.

        One that has ended since, and was started again, runs on.
        """
        with self._lock:
            runner = self._runners.get(arn)
            if runner is not None and self._store.get(arn)["Status"] == STOPPING:
                runner.stop()

    def wake(self, arn: str) -> None:
        """Tell a task that something was asked of it."""
        runner = self._runners.get(arn)
        if runner is not None:
            runner.wake()

    def resume_all(self) -> None:
        """After a start of the service: tasks that ran when it ended go on.

        Those that were stopping come to their stop: whoever waits for it relies on what was there being written, since
        a new stream may follow, which begins behind it.
        """
        for document in self._store.all("task"):
            if document["Status"] not in ACTIVE:
                continue
            arn, identifier = document["ReplicationTaskArn"], document["ReplicationTaskIdentifier"]
            message = "Replication task goes on after a restart of the service. Stop Reason RECYCLE_TASK"
            self._store.add_event("replication-task", identifier, "state change", message)
            self.run(arn)

    def suspend_all(self) -> None:
        """Before the end of the service: tasks write what they have read and end, and stay `running`."""
        runners = list(self._runners.values())
        for runner in runners:
            runner.suspend()
        for runner in runners:
            if not runner.join(_STOP_WAIT_S):
                log.warning(
                    "task %s did not end in %g s; what it has not confirmed comes again", runner.arn, _STOP_WAIT_S
                )

    def forget(self, arn: str) -> None:
        """Remove what a task left on its source. A source that cannot be reached keeps its slot: this is logged."""
        document = self._store.get(arn)
        self._runners.pop(arn, None)
        if "StartDate" not in document or document["MigrationType"] == "full-load":
            return
        # Not only if it has a stream: a start that did not come to its end has left them there too.
        slot = slot_name(arn)
        try:
            source = self._wiring.source(self._store.get(document["SourceEndpointArn"]))
            with source.connect() as connection:
                drop_slot(connection, slot)
                drop_publications(connection, slot)
        except (TaskError, RecoverableError) as error:
            identifier = document["ReplicationTaskIdentifier"]
            message = f"Slot {slot} is still on the source and holds its log; drop it there. {error}"
            log.warning("task %s: %s", identifier, message)
            self._store.add_event("replication-task", identifier, "failure", message)

    def _context(self, arn: str, stop: threading.Event, wake: threading.Event) -> TaskContext:
        document = self._store.get(arn)
        source_endpoint = self._store.get(document["SourceEndpointArn"])
        target_endpoint = self._store.get(document["TargetEndpointArn"])
        source_settings = endpoint_settings(source_endpoint)
        settings = TaskSettings.from_document(json.loads(document["ReplicationTaskSettings"]), source_settings)
        try:
            mappings = parse_mappings(document["TableMappings"])
        except TableMappingError as error:
            raise TaskError(f"Table mappings: {error}.") from error
        source = self._wiring.source(source_endpoint)
        return TaskContext(
            arn=arn,
            identifier=document["ReplicationTaskIdentifier"],
            migration_type=document["MigrationType"],
            fresh_start=document["FreshStartDate"],
            source=source,
            options=source_options(settings, source_settings),
            layout=FileLayout.from_settings(endpoint_settings(target_endpoint)),
            settings=settings,
            mappings=mappings,
            target=self._wiring.target(target_endpoint, arn.rsplit(":", 1)[-1]),
            store=self._store,
            stop=stop,
            wake=wake,
        )
