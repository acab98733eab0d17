"""Files of one table on their way through validation: fetched, judged in the worker, rows in staged data files."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from dms_assets.lake.pending_file import PendingFile
from dms_assets.model.failpoints import reach
from dms_assets.validation.messages import FileTask, OutputFile
from dms_assets.validation.outcome import FileVerdict
from dms_assets.validation.worker_process import ValidationWorker

GROUP_FILES = 200
GROUP_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Judged:
    """A file, its verdict, and the ordinal of its stream."""

    file: PendingFile
    verdict: FileVerdict
    stream: int


@dataclass(slots=True)
class Staged:
    """Files judged together, and local data files with the rows of those accepted."""

    judged: list[Judged] = field(default_factory=list)
    outputs: list[OutputFile] = field(default_factory=list)

    @property
    def accepted(self) -> list[Judged]:
        """Files whose rows are in `outputs`."""
        return [item for item in self.judged if item.verdict.accepted]

    @property
    def rejected(self) -> list[Judged]:
        """Files to go to quarantine."""
        return [item for item in self.judged if not item.verdict.accepted]

    def add(self, other: Staged) -> None:
        """Take in another group."""
        self.judged += other.judged
        self.outputs += other.outputs


@dataclass(frozen=True, slots=True)
class LoadStamp:
    """What rows of a load carry."""

    load_id: str
    boundary_at: datetime


class Intake:
    """Validates files of one table for one batch; everything local is below `folder` and goes with it."""

    def __init__(self, worker: ValidationWorker, folder: Path, batch: int) -> None:
        self._worker = worker
        self._folder = folder
        self._batch = batch

    def take(self, files: Sequence[tuple[PendingFile, int]], load: LoadStamp | None = None) -> Staged:
        """Judge files, given with the ordinal of their stream, in order.

        Raises ObjectNotFoundError or PreconditionFailedError if one is not there any more, WorkerFailedError.
        """
        staged = Staged()
        for group in _groups(files):
            staged.add(self._take_group(group, load))
        return staged

    def _take_group(self, group: Sequence[tuple[PendingFile, int]], load: LoadStamp | None) -> Staged:
        name = uuid.uuid4().hex
        fetched = self._folder / f"{name}-landed"
        fetched.mkdir()
        tasks = []
        for index, (file, stream) in enumerate(group):
            reach("lake.between_fetches")
            path = fetched / f"{index:05d}.parquet"
            file.store.download(file.key, path, if_match=file.etag)
            tasks.append(
                FileTask(
                    path=path,
                    identity=file.identity,
                    kind=file.landed.parsed.kind,
                    stream=stream,
                    load_id=load.load_id if load else None,
                    boundary_at=load.boundary_at if load else None,
                )
            )
        result = self._worker.validate(tasks, self._folder / name, self._batch)
        shutil.rmtree(fetched)
        judged = []
        for (file, stream), verdict in zip(group, result.verdicts, strict=True):
            if verdict is None:
                raise RuntimeError(f"the validation worker gave no verdict on {file.identity.key}")
            judged.append(Judged(file, verdict, stream))
        return Staged(judged, list(result.outputs))


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """A new folder below `root`, removed at the end."""
    folder = root / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _groups(files: Sequence[tuple[PendingFile, int]]) -> Iterator[list[tuple[PendingFile, int]]]:
    group: list[tuple[PendingFile, int]] = []
    size = 0
    for item in files:
        if group and (len(group) >= GROUP_FILES or size + item[0].landed.size > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(item)
        size += item[0].landed.size
    if group:
        yield group
