"""A simulation's DMS task: made, killed, stopped, started afresh, asked for reloads, waited for."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from dms_assets.dms import control
from dms_assets.dms.provision import provision
from dms_assets.dms.task_reader import task_identifier
from dms_assets.environment import LANDING_BUCKET
from dms_assets.installation import Installation
from dms_assets.lake.task_memory import PollStore, StreamStore
from dms_assets.model.failpoints import KILLED_STATUS
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.task_state import TABLE_COMPLETED, TaskState
from dms_assets.pipeline.resources import DmsResource
from dms_assets.pipeline.task_poll import poll_task_patiently
from tests.local_dms.service import until
from tests.simulation.forked_dms import ForkedStack
from tests.simulation.sessions import Sessions

PATIENCE_S = 60.0

_patiently = retry(
    retry=retry_if_exception_type(EndpointConnectionError), stop=stop_after_delay(60), wait=wait_fixed(0.5)
)
"""Again until Local DMS answers, which a failpoint may have ended."""


class Capture:
    """The task of one source. A thread starts Local DMS again whenever a failpoint ended it; `counts` has how often.

    Use as a context manager; inside, the task exists and has loaded its tables once.
    """

    def __init__(
        self,
        stack: ForkedStack,
        spec: SourceSpec,
        installation: Installation,
        sessions: Sessions,
        counts: Counter[str],
        *,
        strict: bool,
    ) -> None:
        self.dms = DmsResource(region_name=stack.environment.region)
        self._stack, self._spec, self._installation = stack, spec, installation
        self._sessions, self._counts, self._strict = sessions, counts, strict
        self._name = task_identifier(spec.name)
        self._reloading: dict[TableName, datetime | None] = {}
        self._ending, self._lock = threading.Event(), threading.Lock()
        self._watcher = threading.Thread(target=self._watch, name="watches Local DMS", daemon=True)

    def __enter__(self) -> Capture:
        self._stack.start_local_dms()
        self._watcher.start()
        client = self.dms.client()
        provision(client, self._spec, self._stack.environment.secret(self._spec.connection.secret), LANDING_BUCKET, {})
        if self._strict:
            settings = json.dumps({"LocalDms": {"Strict": True}})
            client.modify_replication_task(ReplicationTaskArn=self.task().arn, ReplicationTaskSettings=settings)
        control.start(client, self._name)
        until(self.loaded, PATIENCE_S)
        return self

    def __exit__(self, *exception: object) -> None:
        self._ending.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._ending.wait(0.1):
            with self._lock:
                process = self._stack.forked
                if process is not None and process.returncode == KILLED_STATUS:
                    self._counts["DMS killed"] += 1
                    self._stack.start_local_dms()

    def arm(self, failpoint: str, nth: int = 1) -> None:
        """Restart Local DMS so that it dies when it reaches the failpoint for the nth time."""
        with self._lock:
            assert self._stack.forked is not None
            self._stack.forked.stop()
            self._stack.start_local_dms(f"{failpoint}=kill@{nth}")

    def task(self) -> TaskState:
        """The task now; waits out a restart of Local DMS."""
        return poll_task_patiently(self.dms, self._spec.name)

    def poll(self) -> None:
        """Look at the task as the platform does every half minute, and remember its stream."""
        task = self.task()
        StreamStore(self._installation.state, self._spec.name).register(task)
        PollStore(self._installation.state, self._spec.name).record(task, datetime.now(UTC))

    def loaded(self) -> bool:
        """Whether every table is."""
        tables = self.task().tables
        return tables.keys() == set(self._spec.table_names) and all(
            table.state == TABLE_COMPLETED for table in tables.values()
        )

    def running(self) -> None:
        """Wait until the task runs."""
        deadline = time.monotonic() + PATIENCE_S
        while (task := self.task()).status != "running":
            assert time.monotonic() < deadline, f"the task does not run: {task}"
            time.sleep(0.1)

    def resume(self) -> None:
        """Stop the task and start it where it stopped."""
        self.running()
        _patiently(control.stop)(self.dms.client(), self._name)
        _patiently(control.start)(self.dms.client(), self._name)

    def begin_afresh(self) -> None:
        """A new stream, which loads every table; what is open is committed, for its slot would wait for it."""
        self._sessions.end_all()
        self.running()
        self.poll()
        _patiently(control.start_afresh)(self.dms.client(), self._name)
        until(self.loaded, PATIENCE_S)

    def begin_afresh_dying(self, failpoint: str, dead: Callable[[], bool]) -> None:
        """A new stream, while which begins Local DMS dies; it goes on with it by itself."""
        self._sessions.end_all()
        self.running()
        self.poll()
        _patiently(control.stop)(self.dms.client(), self._name)
        self._start_dying(failpoint, dead, "reload-target")
        until(self.loaded, PATIENCE_S)

    def resume_dying(self, failpoint: str, dead: Callable[[], bool]) -> None:
        """Stop the task and start it where it stopped, and Local DMS dies."""
        self.running()
        _patiently(control.stop)(self.dms.client(), self._name)
        self._start_dying(failpoint, dead, "resume-processing")

    def _start_dying(
        self, failpoint: str, dead: Callable[[], bool], kind: Literal["resume-processing", "reload-target"]
    ) -> None:
        arn = self.task().arn
        self.arm(failpoint)
        # Local DMS may answer, or die before; a repetition finds it dead, or the task started.
        with suppress(BotoCoreError, ClientError):
            self.dms.client().start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType=kind)
        until(dead, PATIENCE_S)
        self.running()

    def stop_dying(self, failpoint: str, dead: Callable[[], bool]) -> None:
        """Stop the task, and Local DMS dies: it is stopped, and started again."""
        self.running()
        arn = self.task().arn
        self.arm(failpoint)
        self.running()
        with suppress(BotoCoreError, ClientError):
            self.dms.client().stop_replication_task(ReplicationTaskArn=arn)
        until(dead, PATIENCE_S)
        until(lambda: self.task().status == "stopped", PATIENCE_S)
        _patiently(control.start)(self.dms.client(), self._name)

    def delete_another_dying(self, failpoint: str, dead: Callable[[], bool]) -> None:
        """Delete a task that never ran, beside the other, and Local DMS dies; delete it again, if it is still there."""
        client = self.dms.client()
        (task,) = client.describe_replication_tasks()["ReplicationTasks"]
        other = client.create_replication_task(
            ReplicationTaskIdentifier=f"{self._name}-other",
            SourceEndpointArn=task["SourceEndpointArn"],
            TargetEndpointArn=task["TargetEndpointArn"],
            ReplicationInstanceArn=task["ReplicationInstanceArn"],
            MigrationType="full-load-and-cdc",
            TableMappings=task["TableMappings"],
        )["ReplicationTask"]["ReplicationTaskArn"]
        self.arm(failpoint)
        with suppress(BotoCoreError, ClientError):
            client.delete_replication_task(ReplicationTaskArn=other)
        until(dead, PATIENCE_S)
        self.running()
        there = [one["ReplicationTaskArn"] for one in client.describe_replication_tasks()["ReplicationTasks"]]
        if other in there:
            client.delete_replication_task(ReplicationTaskArn=other)
        (left,) = client.describe_replication_tasks()["ReplicationTasks"]
        assert left["ReplicationTaskArn"] == task["ReplicationTaskArn"]

    def ask_reload(self, names: Sequence[TableName]) -> None:
        """Ask for tables to be loaded again. DMS begins when the transactions open now have ended."""
        self.running()
        for name in names:
            self._reloading[name] = self.task().tables[name].load_started
        _patiently(control.reload_tables)(self.dms.client(), self._name, list(names))

    def reloaded(self) -> bool:
        """End all transactions and wait for the loads asked for; whether there were any."""
        if not self._reloading:
            return False
        self._sessions.end_all()

        def look() -> bool:
            now = self.task().tables
            return all(
                now[name].state == TABLE_COMPLETED and now[name].load_started != started
                for name, started in self._reloading.items()
            )

        until(look, PATIENCE_S)
        self._reloading.clear()
        return True

    def captured(self) -> None:
        """Wait until every change committed so far is in landing."""
        row = self._sessions.admin.execute("select pg_current_wal_insert_lsn()::text").fetchone()
        assert row is not None
        behind = "select 1 from pg_replication_slots where confirmed_flush_lsn < %s::pg_lsn"
        until(lambda: self._sessions.admin.execute(behind, row).fetchone() is None, PATIENCE_S)
