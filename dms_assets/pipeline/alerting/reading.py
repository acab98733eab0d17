"""What alert readers are given and what they answer. A reader looks at one thing and judges nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dagster as dg
from dagster._core.storage.runs import SqlRunStorage

from dms_assets.alerts.cause import PLATFORM, PLATFORM_OWNER, Cause, Kind, Sight
from dms_assets.alerts.state import AlertState
from dms_assets.installation import Installation
from dms_assets.model.source_spec import SourceSpec

LOCATION = "dms_assets"
"""The code location's name in paths of the UI."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an instance and an installation at one moment. `sources` are the declared ones, by name."""

    instance: dg.DagsterInstance
    installation: Installation
    repository: dg.RepositoryDefinition
    sources: Mapping[str, SourceSpec]
    now: datetime

    def source_of(self, key: dg.AssetKey) -> str:
        """The source an asset is of; PLATFORM for others, such as derived tables."""
        return key.path[0] if key.path[0] in self.sources else PLATFORM

    def owner_of(self, key: dg.AssetKey) -> str:
        """The team that owns an asset."""
        graph = self.repository.asset_graph
        owners = graph.get(key).owners if graph.has(key) else ()
        return owners[0] if owners else self.owner(self.source_of(key))

    def owner(self, source: str) -> str:
        """The team that owns a source, or the platform."""
        return self.sources[source].owner if source in self.sources else PLATFORM_OWNER


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader found.

    `sights` in the order in which they happened; `causes`, by kind, all that there are now. `mark` is the reader's own,
    JSON, given back with the state of the next look. `behind` are kinds of which the reader has not read all yet.
    """

    sights: Sequence[Sight] = ()
    causes: Mapping[Kind, Sequence[Cause]] = field(default_factory=dict)
    mark: Any = None
    behind: frozenset[Kind] = frozenset()


Reader = Callable[[Look, AlertState], Reading]


def instance_id(instance: dg.DagsterInstance) -> str:
    """What tells one instance's storage from another's; empty for a storage that does not say."""
    storage = instance.run_storage
    return storage.get_run_storage_id() if isinstance(storage, SqlRunStorage) else ""
