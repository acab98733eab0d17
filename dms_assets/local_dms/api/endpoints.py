"""Endpoints and their connections. Passwords go in and never come out."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

from dms_assets.dms.task_status import ACTIVE
from dms_assets.local_dms.api.identity import new_arn, tags
from dms_assets.local_dms.api.instances import Instances
from dms_assets.local_dms.api.pages import existing, page
from dms_assets.local_dms.api.wire import Handler
from dms_assets.local_dms.attributes import endpoint_settings
from dms_assets.local_dms.connections import Wiring
from dms_assets.local_dms.context import now
from dms_assets.local_dms.faults import ApiFault, RecoverableError, TaskError, invalid_state, invalid_value, not_found
from dms_assets.local_dms.files.layout import FileLayout
from dms_assets.local_dms.store import Store

KIND, CONNECTION = "endpoint", "connection"
SECRET_MEMBERS = ("Password",)
_ENGINES = {"source": {"postgres", "aurora-postgresql"}, "target": {"s3"}}
_KEPT = (
    *("EndpointIdentifier", "EndpointType", "EngineName", "Username", "Password", "ServerName", "Port", "DatabaseName"),
    *("ExtraConnectionAttributes", "KmsKeyId", "SslMode", "PostgreSQLSettings", "S3Settings"),
)
_FILTERS = {
    "endpoint-arn": "EndpointArn",
    "endpoint-type": "EndpointType",
    "endpoint-id": "EndpointIdentifier",
    "engine-name": "EngineName",
}
_CONNECTION_FILTERS = {"endpoint-arn": "EndpointArn", "replication-instance-arn": "ReplicationInstanceArn"}


class Endpoints:
    """Operations on endpoints and connections."""

    def __init__(self, store: Store, instances: Instances, wiring: Wiring) -> None:
        self._store = store
        self._instances = instances
        self._wiring = wiring

    def handlers(self) -> dict[str, Handler]:
        """Operations by name."""
        return {
            "CreateEndpoint": self.create,
            "DescribeEndpoints": self.describe,
            "ModifyEndpoint": self.modify,
            "DeleteEndpoint": self.delete,
            "TestConnection": self.test,
            "DescribeConnections": self.describe_connections,
        }

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateEndpoint."""
        document = {name: request[name] for name in _KEPT if name in request}
        document["EndpointType"] = str(request["EndpointType"]).lower()
        document["EndpointIdentifier"] = request["EndpointIdentifier"].lower()
        arn = new_arn("endpoint", request.get("ResourceIdentifier"))
        document |= {"EndpointArn": arn, "Status": "active", "Tags": tags(request)}
        _check(document)
        self._put(document)
        return {"Endpoint": _public(document)}

    def _put(self, document: dict[str, Any]) -> None:
        identifier = document["EndpointIdentifier"]
        try:
            self._store.put(KIND, document["EndpointArn"], identifier, document)
        except sqlite3.IntegrityError as error:
            raise ApiFault("ResourceAlreadyExistsFault", f"Endpoint {identifier} already exists.") from error

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeEndpoints."""
        found = existing(self._store.all(KIND), request, _FILTERS, "Endpoint")
        return page("Endpoints", [_public(document) for document in found], request)

    def modify(self, request: dict[str, Any]) -> dict[str, Any]:
        """ModifyEndpoint: settings given are merged, or replace the old ones with ExactSettings."""
        arn = request["EndpointArn"]
        document = self.get(arn)
        before = dict(document)
        for name in _KEPT:
            if name not in request:
                continue
            value = request[name]
            if isinstance(value, dict) and not request.get("ExactSettings"):
                value = {**document.get(name, {}), **value}
            document[name] = value
        if document != before:
            self._not_running(arn, "modified")
            _check(document)
            self._put(document)
            self._forget_connections(arn)
        return {"Endpoint": _public(document)}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteEndpoint: refused while a task uses it."""
        arn = request["EndpointArn"]
        document = self.get(arn)
        tasks = self._tasks(arn)
        if tasks:
            names = ", ".join(task["ReplicationTaskIdentifier"] for task in tasks)
            raise invalid_state(f"Endpoint {arn} is part of tasks: {names}. Delete them first.")
        self._forget_connections(arn)
        self._store.delete(arn)
        return {"Endpoint": {**_public(document), "Status": "deleting"}}

    def _tasks(self, arn: str) -> list[dict[str, Any]]:
        return [t for t in self._store.all("task") if arn in {t["SourceEndpointArn"], t["TargetEndpointArn"]}]

    def _not_running(self, arn: str, verb: str) -> None:
        running = [t for t in self._tasks(arn) if t["Status"] in ACTIVE]
        if running:
            names = ", ".join(task["ReplicationTaskIdentifier"] for task in running)
            raise invalid_state(f"Endpoint {arn} cannot be {verb} while tasks run with it: {names}. Stop them first.")

    def _forget_connections(self, arn: str) -> None:
        for connection in self._store.all(CONNECTION):
            if connection["EndpointArn"] == arn:
                self._store.delete(connection["Key"])

    def get(self, arn: str) -> dict[str, Any]:
        """The endpoint, with its password. Raises ApiFault if there is none."""
        try:
            return self._store.get(arn)
        except KeyError as error:
            raise not_found("Endpoint", arn) from error

    def test(self, request: dict[str, Any]) -> dict[str, Any]:
        """TestConnection: answers at once, really connects in the background."""
        endpoint = self.get(request["EndpointArn"])
        instance = self._instances.get(request["ReplicationInstanceArn"])
        key = f"{endpoint['EndpointArn']}|{instance['ReplicationInstanceArn']}"
        document = {
            "Key": key,
            "ReplicationInstanceArn": instance["ReplicationInstanceArn"],
            "EndpointArn": endpoint["EndpointArn"],
            "Status": "testing",
            "EndpointIdentifier": endpoint["EndpointIdentifier"],
            "ReplicationInstanceIdentifier": instance["ReplicationInstanceIdentifier"],
        }
        self._store.put(CONNECTION, key, key, document)
        threading.Thread(target=self._test, args=(key, endpoint), name="test-connection", daemon=True).start()
        return {"Connection": _connection(document)}

    def _test(self, key: str, endpoint: dict[str, Any]) -> None:
        try:
            self._wiring.test(endpoint)
        except (TaskError, RecoverableError) as error:
            outcome = {"Status": "failed", "LastFailureMessage": f"Test Endpoint failed: {error}"}
        else:
            outcome = {"Status": "successful"}
        try:
            self._store.update(key, **outcome, TestedAt=now().timestamp())
        except KeyError:
            return  # The endpoint was changed or removed meanwhile: this result is of no use.

    def describe_connections(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeConnections."""
        found = existing(self._store.all(CONNECTION), request, _CONNECTION_FILTERS, "Connection")
        return page("Connections", [_connection(document) for document in found], request)

    def connection_successful(self, endpoint_arn: str, instance_arn: str) -> bool:
        """Whether the last test of this pair succeeded."""
        try:
            return bool(self._store.get(f"{endpoint_arn}|{instance_arn}")["Status"] == "successful")
        except KeyError:
            return False


def _check(document: dict[str, Any]) -> None:
    kind, engine = document["EndpointType"], document["EngineName"]
    if engine not in _ENGINES.get(kind, set()):
        known = "; ".join(f"{side}: {', '.join(sorted(names))}" for side, names in _ENGINES.items())
        raise invalid_value(f"EngineName '{engine}' is not available as a {kind}; there are: {known}.")
    if kind == "target":
        settings = endpoint_settings(document)
        if not settings.get("BucketName") or Path(settings["BucketName"]).name != settings["BucketName"]:
            raise invalid_value("S3Settings needs BucketName, the name of a bucket.")
        try:
            FileLayout.from_settings(settings)
        except TaskError as error:
            raise invalid_value(str(error)) from error
    if kind == "source" and endpoint_settings(document).get("SlotName"):
        raise invalid_value("PostgreSQLSettings.SlotName is not supported: a task makes its own slot. Leave it out.")


def _public(document: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in document.items() if name not in {*SECRET_MEMBERS, "Tags"}}
    for name, value in shown.items():
        if isinstance(value, dict):
            shown[name] = {member: part for member, part in value.items() if member not in SECRET_MEMBERS}
    return shown


def _connection(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in {"Key", "TestedAt"}}
