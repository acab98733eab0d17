"""One JSON document in an object store that several processes may change: each change is made to what was read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dms_assets.lake.object_store import ObjectNotFoundError, ObjectStore, PreconditionFailedError
from dms_assets.model.document_format import DocumentFormatError
from dms_assets.model.failpoints import reach

Content = dict[str, Any]


class StateDocument:
    """A document under `key`; `format` is the release's format of its content."""

    def __init__(self, store: ObjectStore, key: str, *, format: int) -> None:  # noqa: A002 the word of the document
        self._store = store
        self._key = key
        self._format = format

    def read(self) -> Content | None:
        """The content, None before the first change. Raises DocumentFormatError."""
        found = self._find()
        return found[0] if found else None

    def change(self, edit: Callable[[Content | None], Content]) -> Content:
        """Write what `edit` makes of the content; it is called again if another process was faster."""
        while True:
            found = self._find()
            content = edit(found[0] if found else None)
            body = json.dumps({"format": self._format, **content}, indent=1).encode()
            reach("memory.before_write")
            try:
                if found is None:
                    self._store.put(self._key, body, if_absent=True)
                else:
                    self._store.put(self._key, body, if_match=found[1])
            except (PreconditionFailedError, ObjectNotFoundError):
                continue
            reach("memory.after_write")
            return content

    def _find(self) -> tuple[Content, str] | None:
        try:
            body, meta = self._store.get(self._key)
        except ObjectNotFoundError:
            return None
        data: Content = json.loads(body)
        if data.pop("format", None) != self._format:
            raise DocumentFormatError(f"{self._key} is not of format {self._format}, which this release reads")
        return data, meta.etag
