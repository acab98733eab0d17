"""Iceberg file I/O for a local warehouse: what a commit points to is on disk before the commit."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import cast

from pyiceberg.io import InputFile, OutputFile, OutputStream
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.typedef import EMPTY_DICT, Properties

from dms_assets.model.failpoints import reach


class _SyncedWriter(io.BufferedWriter):
    """A file that is synced, with its folder, when it is closed."""

    def __init__(self, path: Path, mode: str) -> None:
        self._path = path
        super().__init__(io.FileIO(path, mode))

    def close(self) -> None:
        if self.closed:
            return
        self.flush()
        os.fsync(self.fileno())
        super().close()
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        reach("lake.between_table_files")


class _LocalOutputFile(OutputFile):
    """An Iceberg output file in a folder."""

    def __init__(self, location: str, path: Path, source: DurableFileIO) -> None:
        super().__init__(location)
        self._path = path
        self._source = source

    def __len__(self) -> int:
        return self._path.stat().st_size

    def exists(self) -> bool:
        """Whether the file is there."""
        return self._path.exists()

    def to_input_file(self) -> InputFile:
        """The same file, for reading."""
        return self._source.new_input(self.location)

    def create(self, overwrite: bool = False) -> OutputStream:
        """The stream to write to. Raises FileExistsError without `overwrite`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return cast("OutputStream", _SyncedWriter(self._path, "w" if overwrite else "x"))


class DurableFileIO(PyArrowFileIO):
    """PyArrow's file I/O, with synced writes in `file:` locations; named by the catalog property `py-io-impl`."""

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)

    def new_output(self, location: str) -> OutputFile:  # type: ignore[override]  # pyiceberg narrows it to its own class
        """A file to write."""
        scheme, _, path = self.parse_location(location, self.properties)
        if scheme != "file":
            return super().new_output(location)
        return _LocalOutputFile(location, Path(path), self)
