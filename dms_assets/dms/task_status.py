"""The statuses of a replication task that others depend on."""

from __future__ import annotations

STOPPING = "stopping"
ACTIVE = frozenset({"starting", "running", STOPPING})
"""Statuses in which DMS refuses to change a task or its endpoints."""
