"""Replication tasks: their life, and what they report."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from dms_assets.dms.table_mappings import TableMappingError, parse_mappings
from dms_assets.dms.task_status import ACTIVE, STOPPING
from dms_assets.local_dms.api.endpoints import Endpoints
from dms_assets.local_dms.api.identity import new_arn, tags
from dms_assets.local_dms.api.instances import Instances
from dms_assets.local_dms.api.pages import existing, filtered, page
from dms_assets.local_dms.api.wire import Handler
from dms_assets.local_dms.context import now
from dms_assets.local_dms.faults import ApiFault, invalid_combination, invalid_state, invalid_value, not_found
from dms_assets.local_dms.gaps import format_lsn
from dms_assets.local_dms.settings import merged
from dms_assets.local_dms.store import Store
from dms_assets.local_dms.supervisor import Supervisor
from dms_assets.local_dms.tables import ERROR, OUR_MEMBERS, RELOAD_MEMBER, RELOADING
from dms_assets.model import failpoints
from dms_assets.model.names import TableName

KIND = "task"
_MIGRATION_TYPES = {"full-load", "cdc", "full-load-and-cdc"}
_START, _RESUME, _RELOAD = "start-replication", "resume-processing", "reload-target"
_POSITIONS = ("CdcStartTime", "CdcStartPosition", "CdcStopPosition")
_FILTERS = {
    "replication-task-arn": "ReplicationTaskArn",
    "replication-task-id": "ReplicationTaskIdentifier",
    "migration-type": "MigrationType",
    "endpoint-arn": "_endpoints",
    "replication-instance-arn": "ReplicationInstanceArn",
}
_STATISTICS_FILTERS = {"schema-name": "SchemaName", "table-name": "TableName", "table-state": "TableState"}
_STATISTICS_PAGE = 500
_RELOAD_AT_ONCE = 10
_SHOWN = (
    *("ReplicationTaskIdentifier", "SourceEndpointArn", "TargetEndpointArn", "ReplicationInstanceArn"),
    *("MigrationType", "TableMappings", "ReplicationTaskSettings", "Status", "LastFailureMessage", "StopReason"),
    *("ReplicationTaskCreationDate", "ReplicationTaskStartDate", "RecoveryCheckpoint", "ReplicationTaskArn"),
)
_DATES = ("FreshStartDate", "StartDate", "StopDate", "FullLoadStartDate", "FullLoadFinishDate")


class Tasks:
    """Operations on replication tasks."""

    def __init__(self, store: Store, instances: Instances, endpoints: Endpoints, supervisor: Supervisor) -> None:
        self._store = store
        self._instances = instances
        self._endpoints = endpoints
        self._supervisor = supervisor
        self._deleting: set[str] = set()
        """Tasks that nobody may start: what they have on the source is being removed, which takes its time."""

    def handlers(self) -> dict[str, Handler]:
        """Operations by name."""
        return {
            "CreateReplicationTask": self.create,
            "DescribeReplicationTasks": self.describe,
            "ModifyReplicationTask": self.modify,
            "DeleteReplicationTask": self.delete,
            "StartReplicationTask": self.start,
            "StopReplicationTask": self.stop,
            "DescribeTableStatistics": self.statistics,
            "ReloadTables": self.reload,
        }

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateReplicationTask: the task is `ready` when a describe next asks."""
        source = self._endpoints.get(request["SourceEndpointArn"])
        target = self._endpoints.get(request["TargetEndpointArn"])
        if (source["EndpointType"], target["EndpointType"]) != ("source", "target"):
            raise invalid_combination("SourceEndpointArn must be a source endpoint and TargetEndpointArn a target.")
        instance = self._instances.get(request["ReplicationInstanceArn"])
        arn = new_arn("task", request.get("ResourceIdentifier"))
        document = {
            "ReplicationTaskIdentifier": request["ReplicationTaskIdentifier"].lower(),
            "SourceEndpointArn": request["SourceEndpointArn"],
            "TargetEndpointArn": request["TargetEndpointArn"],
            "ReplicationInstanceArn": request["ReplicationInstanceArn"],
            "MigrationType": _migration_type(request),
            "TableMappings": _mappings(request["TableMappings"]),
            "ReplicationTaskSettings": _settings(request.get("ReplicationTaskSettings"), instance, arn),
            "Status": "ready",
            "ReplicationTaskCreationDate": now().timestamp(),
            "ReplicationTaskArn": arn,
            "Tags": tags(request),
        }
        _no_positions(request)
        self._put(document)
        self._event(document, "creation", "The replication task has been created.")
        return {"ReplicationTask": {**self._public(document), "Status": "creating"}}

    def _put(self, document: dict[str, Any]) -> None:
        identifier = document["ReplicationTaskIdentifier"]
        try:
            self._store.put(KIND, document["ReplicationTaskArn"], identifier, document)
        except sqlite3.IntegrityError as error:
            raise ApiFault("ResourceAlreadyExistsFault", f"Replication task {identifier} already exists.") from error

    def _event(self, document: dict[str, Any], category: str, message: str) -> None:
        self._store.add_event("replication-task", document["ReplicationTaskIdentifier"], category, message)

    def get(self, arn: str) -> dict[str, Any]:
        """The task. Raises ApiFault if there is none."""
        try:
            return self._store.get(arn)
        except KeyError as error:
            raise not_found("Replication task", arn) from error

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeReplicationTasks."""
        documents = self._store.all(KIND)
        filters = [one for one in request.get("Filters", []) if one["Name"] == "endpoint-arn"]
        rest = [one for one in request.get("Filters", []) if one["Name"] != "endpoint-arn"]
        for one in filters:
            wanted = set(one["Values"])
            documents = [d for d in documents if wanted & {d["SourceEndpointArn"], d["TargetEndpointArn"]}]
        if filters and not documents:
            raise ApiFault("ResourceNotFoundFault", "No Tasks found matching provided filters")
        found = existing(documents, {"Filters": rest}, _FILTERS, "Tasks")
        shown = [self._public(document) for document in found]
        if request.get("WithoutSettings"):
            for document in shown:
                del document["TableMappings"], document["ReplicationTaskSettings"]
        return page("ReplicationTasks", shown, request)

    def _public(self, document: dict[str, Any]) -> dict[str, Any]:
        shown = {name: document[name] for name in _SHOWN if name in document}
        if "StartDate" in document:
            shown["ReplicationTaskStats"] = self._task_statistics(document)
        stream = self._store.stream(document["ReplicationTaskArn"])
        if stream is not None and document["Status"] in {"stopped", "failed"}:
            high, low = format_lsn(stream.durable).split("/")
            shown["RecoveryCheckpoint"] = f"checkpoint:V1#1#{high:0>8}/{low:0>8}#0#0#*#0#0"
        return shown

    def _task_statistics(self, document: dict[str, Any]) -> dict[str, Any]:
        states = [table["TableState"] for table in self._store.statistics(document["ReplicationTaskArn"])]
        loaded = states.count("Table completed")
        end = document.get("StopDate") or now().timestamp()
        return {
            "FullLoadProgressPercent": 100 * loaded // len(states) if states else 0,
            "ElapsedTimeMillis": max(int((end - document["StartDate"]) * 1000), 0),
            "TablesLoaded": loaded,
            "TablesLoading": states.count("Full load") + states.count("Table is being reloaded"),
            "TablesQueued": states.count("Before load"),
            "TablesErrored": states.count("Table error"),
            **{name: document.get(name) for name in _DATES},
        }

    def modify(self, request: dict[str, Any]) -> dict[str, Any]:
        """ModifyReplicationTask: not while it runs."""
        _no_positions(request)
        with self._store.transaction():
            document = self._modified(request)
            self._put(document)
        return {"ReplicationTask": {**self._public(document), "Status": "modifying"}}

    def _modified(self, request: dict[str, Any]) -> dict[str, Any]:
        """The task with what is asked for. Raises ApiFault where DMS would not change it."""
        arn = request["ReplicationTaskArn"]
        document = self.get(arn)
        if document["Status"] in ACTIVE:
            raise invalid_state("Replication Task cannot be modified while it is running state")
        instance = self._instances.get(document["ReplicationInstanceArn"])
        if "ReplicationTaskIdentifier" in request:
            document["ReplicationTaskIdentifier"] = request["ReplicationTaskIdentifier"].lower()
        if "MigrationType" in request:
            if "StartDate" in document and request["MigrationType"] != document["MigrationType"]:
                raise invalid_state("The migration type of a task that has run cannot be changed; make a new task.")
            document["MigrationType"] = _migration_type(request)
        if "TableMappings" in request:
            document["TableMappings"] = _mappings(request["TableMappings"])
        if "ReplicationTaskSettings" in request:
            document["ReplicationTaskSettings"] = _settings(request["ReplicationTaskSettings"], instance, arn)
        return document

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteReplicationTask: not while it runs. Its slot and publications go too, if the source can be reached."""
        arn = request["ReplicationTaskArn"]
        with self._store.transaction():
            document = self.get(arn)
            if document["Status"] in ACTIVE:
                raise invalid_state(f"Replication task {arn} is {document['Status']}; stop it first.")
            self._not_deleting(arn)
            self._deleting.add(arn)
        try:
            shown = self._public(document)
            self._supervisor.forget(arn)
            failpoints.reach("local_dms.after_forgetting")
            self._store.delete(arn)
            self._event(document, "deletion", "The replication task has been deleted.")
        finally:
            self._deleting.discard(arn)
        return {"ReplicationTask": {**shown, "Status": "deleting"}}

    def _not_deleting(self, arn: str) -> None:
        if arn in self._deleting:
            raise invalid_state(f"Replication task {arn} is being deleted.")

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """StartReplicationTask, with DMS's rules on start types (dms.md 4.3)."""
        arn = request["ReplicationTaskArn"]
        _no_positions(request)
        # Of two that ask at once, one is refused.
        with self._store.transaction():
            document = self._starting(arn, request["StartReplicationTaskType"])
        failpoints.reach("local_dms.after_start_asked")
        self._supervisor.run(arn)
        return {"ReplicationTask": self._public(document)}

    def _starting(self, arn: str, start: str) -> dict[str, Any]:
        """The task, stored as one that starts. Raises ApiFault where DMS would not start it."""
        document = self.get(arn)
        if document["Status"] in ACTIVE:
            raise invalid_state(f"Replication task {arn} is currently {document['Status']}.")
        self._not_deleting(arn)
        for side in ("SourceEndpointArn", "TargetEndpointArn"):
            if not self._endpoints.connection_successful(document[side], document["ReplicationInstanceArn"]):
                raise invalid_state(
                    f"Test connection for replication instance {document['ReplicationInstanceArn']} and endpoint "
                    f"{document[side]} should be successful for starting the replication task."
                )
        _check_start_type(document, start)
        moment = now().timestamp()
        changes: dict[str, Any] = {
            "Status": "starting",
            "StartDate": moment,
            "ReplicationTaskStartDate": moment,
            **dict.fromkeys(("StopDate", "StopReason", "LastFailureMessage")),
        }
        if start != _RESUME:
            changes |= {"FreshStartDate": moment, "FullLoadStartDate": None, "FullLoadFinishDate": None}
            self._store.reset_statistics(arn, [])
        document = self._store.update(arn, **changes)
        kind = f"taskType: {document['MigrationType']}, startType: {start}"
        self._event(document, "state change", f"Replication task has started with {kind}")
        return document

    def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """StopReplicationTask: what was read is written first."""
        arn = request["ReplicationTaskArn"]
        # One that ends by itself just then stays as it ended.
        with self._store.transaction():
            document = self.get(arn)
            if document["Status"] not in ACTIVE - {STOPPING}:
                raise invalid_state(f"Replication task {arn} is {document['Status']}, not running.")
            document = self._store.update(arn, Status=STOPPING)
        failpoints.reach("local_dms.after_stop_asked")
        self._supervisor.stop(arn)
        return {"ReplicationTask": self._public(document)}

    def statistics(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeTableStatistics."""
        arn = request["ReplicationTaskArn"]
        self.get(arn)
        public = [_public_statistics(one) for one in self._store.statistics(arn)]
        shown = filtered(public, request.get("Filters", []), _STATISTICS_FILTERS)
        return {"ReplicationTaskArn": arn, **page("TableStatistics", shown, request, largest=_STATISTICS_PAGE)}

    def reload(self, request: dict[str, Any]) -> dict[str, Any]:
        """ReloadTables: of a running task with a full load; up to ten, none twice."""
        arn = request["ReplicationTaskArn"]
        document = self.get(arn)
        if document["Status"] != "running" or document["MigrationType"] != "full-load-and-cdc":
            raise invalid_state(
                f"Tables can be reloaded while a task of type full-load-and-cdc is running; {arn} is a "
                f"{document['MigrationType']} task and {document['Status']}."
            )
        if request.get("ReloadOption", "data-reload") != "data-reload":
            raise invalid_value("ReloadOption validate-only is not supported; use data-reload.")
        names = [TableName(one["SchemaName"], one["TableName"]) for one in request["TablesToReload"]]
        if not 0 < len(names) <= _RELOAD_AT_ONCE or len(set(names)) != len(names):
            raise invalid_value(f"Between 1 and {_RELOAD_AT_ONCE} tables can be reloaded at once, none of them twice.")
        with self._store.transaction():
            for name in names:
                try:
                    self._store.update_table(arn, name, **{RELOAD_MEMBER: True})
                except KeyError as error:
                    raise not_found("Table", str(name)) from error
        self._supervisor.wake(arn)
        return {"ReplicationTaskArn": arn}


def _public_statistics(statistics: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in statistics.items() if name not in OUR_MEMBERS}
    if RELOAD_MEMBER in statistics and shown["TableState"] == ERROR:
        # The reload that was asked for has not begun; if it is refused, the table is in error again.
        shown["TableState"] = RELOADING
    return shown


def _check_start_type(document: dict[str, Any], start: str) -> None:
    ran = "StartDate" in document
    if start == _START and ran:
        raise invalid_combination("Start Type : START_REPLICATION, valid only for tasks running for the first time")
    if start == _RESUME and not ran:
        raise invalid_combination(
            "Start Type : RESUME_PROCESSING, valid only for previously executed tasks; use start-replication."
        )
    if start == _RELOAD and not ran:
        raise invalid_combination(
            "Start Type : RELOAD_TARGET, valid only for previously executed tasks; use start-replication."
        )
    if start == _RELOAD and document["MigrationType"] == "cdc":
        raise invalid_combination("Start Type : RELOAD_TARGET, not valid for tasks that only capture changes")


def _no_positions(request: dict[str, Any]) -> None:
    given = [name for name in _POSITIONS if request.get(name)]
    if given:
        raise invalid_combination(
            f"{', '.join(given)} is not supported for a PostgreSQL source here: a stream begins when its task starts."
        )


def _migration_type(request: dict[str, Any]) -> str:
    kind = str(request["MigrationType"])
    if kind not in _MIGRATION_TYPES:
        raise invalid_value(f"MigrationType '{kind}' is not one of {', '.join(sorted(_MIGRATION_TYPES))}.")
    return kind


def _mappings(text: str) -> str:
    try:
        parse_mappings(text)
    except TableMappingError as error:
        raise invalid_value(f"Invalid table mappings: {error}.") from error
    return text


def _settings(text: str | None, instance: dict[str, Any], arn: str) -> str:
    document = merged(text)
    document["Logging"] |= {
        "CloudWatchLogGroup": f"dms-tasks-{instance['ReplicationInstanceIdentifier']}",
        "CloudWatchLogStream": f"dms-task-{arn.rsplit(':', 1)[-1]}",
    }
    return json.dumps(document)
