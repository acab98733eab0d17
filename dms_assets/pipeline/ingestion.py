"""One run's ingestion: the commit protocol with what it needs to know of the task, and one validation process."""

from __future__ import annotations

from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from dms_assets.installation import Installation
from dms_assets.lake.batch_attempt import Observation, TableIntake
from dms_assets.lake.commit_protocol import ingest_table
from dms_assets.lake.stuck_loads import StuckLoads
from dms_assets.lake.table_outcome import TableOutcome
from dms_assets.lake.task_memory import PollStore, StreamStore
from dms_assets.metadata.additions import additions
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.resources import DmsResource
from dms_assets.pipeline.task_poll import poll_task_patiently
from dms_assets.validation.worker_process import ValidationWorker


class MetadataMissingError(LookupError):
    """A table's files cannot be judged: nothing is known of the table."""

    def __init__(self, source: str, name: TableName) -> None:
        super().__init__(
            f"source '{source}' has no metadata of {name}; materialise the metadata asset of the table, "
            "then this one again. Its files wait in landing"
        )


class Ingestion:
    """Takes tables of one source, one after the other. Use as a context manager: it owns a process."""

    def __init__(self, installation: Installation, spec: SourceSpec, dms: DmsResource) -> None:
        self._installation = installation
        self._spec = spec
        self._dms = dms
        # Read before anything is listed: the earlier of the two polls that must agree on a load's end.
        self._earlier = PollStore(installation.state, spec.name).last()
        self._stuck = StuckLoads(installation.state, spec.name)
        self._worker = ValidationWorker()

    def take(self, name: TableName) -> TableOutcome:
        """Run the protocol over one table.

        Raises MetadataMissingError, DamagedVersionError, or what `ingest_table` raises.
        """
        versions = self._installation.versions(self._spec.name).history(name)
        if not versions:
            raise MetadataMissingError(self._spec.name, name)
        metadata = versions[-1].metadata
        earlier = self._earlier.get(name)
        intake = TableIntake(
            spec=self._spec,
            metadata=metadata,
            earlier=earlier.state if earlier else None,
            observe=lambda: self._observe(name),
            one_snapshot=self._spec.dms.one_snapshot_loads,
            added=additions(versions, metadata),
        )
        outcome = ingest_table(self._installation.lake, intake, self._worker, lambda: datetime.now(UTC))
        stuck = outcome.stuck
        self._stuck.record(name, f"{stuck.reason}; {stuck.remedy}" if stuck else None)
        return outcome

    def _observe(self, name: TableName) -> Observation:
        task = poll_task_patiently(self._dms, self._spec.name)
        streams = StreamStore(self._installation.state, self._spec.name).register(task)
        return Observation(streams, task.tables.get(name))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._worker.close()
