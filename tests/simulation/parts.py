"""Parts of a simulation's world that are not quite those of the platform."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.object_store import ObjectMeta
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.reconcile.source_state import SourceState
from dms_assets.validation.worker_process import ValidationWorker


class KeptWorker(ValidationWorker):
    """A validation process that outlives the runs that use it; ended by `end`."""

    def close(self) -> None:
        """Nothing: the next run uses it too."""

    def end(self) -> None:
        super().close()


class Landing(FolderStore):
    """Landing of which a part is not listed yet, as if it were still on its way."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.late: Random | None = None

    def list(self, prefix: str = "") -> Iterator[ObjectMeta]:
        for meta in super().list(prefix):
            if self.late is None or self.late.random() < 0.5:
                yield meta


@dataclass
class Recorded:
    """A state of the source, and the tables that were out of step with their log then."""

    state: SourceState
    diverged: frozenset[TableName]
    tables: tuple[TableMetadata, ...]
