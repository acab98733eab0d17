"""The parts of one installation, made from its environment: stores, catalog, DMS client, credentials of sources.

The one place that knows that locally a bucket is a folder; everything else is handed what this makes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dms_assets.alerts.sinks import FileSink, LogSink, Sink
from dms_assets.environment import Environment
from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.object_store import ObjectStore
from dms_assets.lake.stores import LakeStores
from dms_assets.metadata.version_store import DamagedVersionError, VersionStore
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata

if TYPE_CHECKING:
    import psycopg
    from pyiceberg.catalog import Catalog

_LOG = logging.getLogger(__name__)


class Installation:
    """Parts are made when they are first asked for, so that a process imports only what it uses."""

    def __init__(self, environment: Environment | None = None) -> None:
        self.environment = environment or Environment()

    @cached_property
    def landing(self) -> ObjectStore:
        """The bucket DMS writes to."""
        return FolderStore(self.environment.landing_dir)

    @cached_property
    def archive(self) -> ObjectStore:
        """Originals of accepted files."""
        return FolderStore(self.environment.archive_dir)

    @cached_property
    def quarantine(self) -> ObjectStore:
        """Rejected files and their reports."""
        return FolderStore(self.environment.quarantine_dir)

    @cached_property
    def ledger(self) -> ObjectStore:
        """What happened to every landed file."""
        return FolderStore(self.environment.ledger_dir)

    @cached_property
    def state(self) -> ObjectStore:
        """Metadata versions, streams and polls."""
        return FolderStore(self.environment.state_dir)

    @cached_property
    def alert_sinks(self) -> Sequence[Sink]:
        """Where alerts are told."""
        return (LogSink(), FileSink(self.environment.alerts_dir))

    @cached_property
    def catalog(self) -> Catalog:
        """The Iceberg catalog."""
        from dms_assets.lake.iceberg import local_catalog  # noqa: PLC0415 heavy: sensors that never read it go without

        return local_catalog(self.environment.lake_dir)

    @cached_property
    def lake(self) -> LakeStores:
        """Everything the commit protocol works on."""
        return LakeStores(
            landing=self.landing,
            archive=self.archive,
            quarantine=self.quarantine,
            ledger=self.ledger,
            catalog=self.catalog,
            scratch=self.environment.lake_dir / "scratch",
        )

    def versions(self, source: str) -> VersionStore:
        """The metadata versions of a source."""
        return VersionStore(self.state, source)

    def known_metadata(self, spec: SourceSpec) -> dict[TableName, TableMetadata]:
        """The newest metadata of the declared tables, as far as there is any. A local read, no database call.

        A table whose metadata is damaged is left out, and its files wait: it must not take the others down.
        """
        known, damaged = self._read_metadata(spec)
        for error in damaged.values():
            _LOG.error("source '%s': %s", spec.name, error)
        return known

    def damaged_metadata(self, spec: SourceSpec) -> dict[TableName, DamagedVersionError]:
        """The declared tables whose newest metadata cannot be read, with place, reason and remedy."""
        return self._read_metadata(spec)[1]

    def _read_metadata(
        self, spec: SourceSpec
    ) -> tuple[dict[TableName, TableMetadata], dict[TableName, DamagedVersionError]]:
        store, known = self.versions(spec.name), dict[TableName, TableMetadata]()
        damaged: dict[TableName, DamagedVersionError] = {}
        for name in spec.table_names:
            try:
                version = store.current(name)
            except DamagedVersionError as error:
                damaged[name] = error
                continue
            if version is not None:
                known[name] = version.metadata
        return known, damaged

    def source_connection(self, spec: SourceSpec) -> psycopg.Connection[Any]:
        """A read-only connection to a source. Raises SecretNotFoundError or SourceUnreachableError."""
        from dms_assets.metadata.source_connection import connect  # noqa: PLC0415 needs the engine's driver

        return connect(spec, self.environment.secret(spec.connection.secret))
