"""Replication instances: here only a name that tasks hang on, always available."""

from __future__ import annotations

import sqlite3
from typing import Any

from dms_assets.local_dms.api.identity import new_arn, tags
from dms_assets.local_dms.api.pages import existing, page
from dms_assets.local_dms.api.wire import Handler
from dms_assets.local_dms.context import now
from dms_assets.local_dms.faults import ApiFault, invalid_state, not_found
from dms_assets.local_dms.store import Store

KIND = "instance"
ENGINE_VERSION = "3.5.4"
_FILTERS = {
    "replication-instance-arn": "ReplicationInstanceArn",
    "replication-instance-id": "ReplicationInstanceIdentifier",
    "replication-instance-class": "ReplicationInstanceClass",
    "engine-version": "EngineVersion",
}


class Instances:
    """Operations on replication instances."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def handlers(self) -> dict[str, Handler]:
        """Operations by name."""
        return {
            "CreateReplicationInstance": self.create,
            "DescribeReplicationInstances": self.describe,
            "DeleteReplicationInstance": self.delete,
        }

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateReplicationInstance."""
        identifier = request["ReplicationInstanceIdentifier"].lower()
        arn = new_arn("rep", request.get("ResourceIdentifier"))
        document = {
            "ReplicationInstanceIdentifier": identifier,
            "ReplicationInstanceClass": request["ReplicationInstanceClass"],
            "ReplicationInstanceStatus": "available",
            "AllocatedStorage": request.get("AllocatedStorage", 50),
            "InstanceCreateTime": now().timestamp(),
            "EngineVersion": request.get("EngineVersion", ENGINE_VERSION),
            "AutoMinorVersionUpgrade": request.get("AutoMinorVersionUpgrade", True),
            "MultiAZ": request.get("MultiAZ", False),
            "PubliclyAccessible": request.get("PubliclyAccessible", False),
            "ReplicationInstanceArn": arn,
            "Tags": tags(request),
        }
        try:
            self._store.put(KIND, arn, identifier, document)
        except sqlite3.IntegrityError as error:
            raise ApiFault(
                "ResourceAlreadyExistsFault", f"Replication instance {identifier} already exists."
            ) from error
        self._store.add_event("replication-instance", identifier, "creation", "Replication instance created")
        return {"ReplicationInstance": _public(document)}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeReplicationInstances."""
        found = existing(self._store.all(KIND), request, _FILTERS, "Replication Instance")
        return page("ReplicationInstances", [_public(document) for document in found], request)

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteReplicationInstance: refused while it has tasks."""
        arn = request["ReplicationInstanceArn"]
        document = self.get(arn)
        tasks = [t for t in self._store.all("task") if t["ReplicationInstanceArn"] == arn]
        if tasks:
            names = ", ".join(task["ReplicationTaskIdentifier"] for task in tasks)
            raise invalid_state(f"Replication instance {arn} has tasks: {names}. Delete them first.")
        self._store.delete(arn)
        for connection in self._store.all("connection"):
            if connection["ReplicationInstanceArn"] == arn:
                self._store.delete(connection["Key"])
        return {"ReplicationInstance": {**_public(document), "ReplicationInstanceStatus": "deleting"}}

    def get(self, arn: str) -> dict[str, Any]:
        """The instance. Raises ApiFault if there is none."""
        try:
            return self._store.get(arn)
        except KeyError as error:
            raise not_found("Replication instance", arn) from error


def _public(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "Tags"}
