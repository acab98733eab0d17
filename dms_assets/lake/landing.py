"""The inbox: what DMS put into landing, sorted by table, and what does not belong there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dms_assets.lake.object_store import ObjectMeta, ObjectStore
from dms_assets.model.landed_file import LandedFile, parse_key
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec


@dataclass(frozen=True, slots=True)
class Inbox:
    """One listing of a source's landing folder; files are in order of time, then of key.

    `undeclared` are files of tables that the source does not declare (now): they stay where they are, and are taken
    like any others once the table is declared. `strangers` are objects whose key is not one that DMS writes.
    """

    tables: dict[TableName, tuple[LandedFile, ...]]
    undeclared: dict[TableName, tuple[LandedFile, ...]]
    strangers: tuple[ObjectMeta, ...]


def landed_file(meta: ObjectMeta, folder: str) -> LandedFile | None:
    """The landed file that an object is, or None if its key is not one that DMS writes below `folder`."""
    parsed = parse_key(meta.key, folder)
    return None if parsed is None else LandedFile(meta.identity, meta.size, parsed)


def read_inbox(landing: ObjectStore, spec: SourceSpec) -> Inbox:
    """List everything below a source's folder. Declared tables without files are there, with none."""
    tables: dict[TableName, list[LandedFile]] = {name: [] for name in spec.table_names}
    undeclared: dict[TableName, list[LandedFile]] = {}
    strangers: list[ObjectMeta] = []
    # Without a folder of its own, a source must not touch what others keep in the bucket.
    for meta in landing.list(_prefix(spec) or f"{spec.database_schema}/"):
        file = landed_file(meta, spec.folder)
        if file is None:
            strangers.append(meta)
        elif file.parsed.table in tables:
            tables[file.parsed.table].append(file)
        else:
            undeclared.setdefault(file.parsed.table, []).append(file)
    return Inbox(_all_in_order(tables), _all_in_order(undeclared), tuple(strangers))


def list_table(landing: ObjectStore, spec: SourceSpec, name: TableName) -> tuple[LandedFile, ...]:
    """The landed files of one table, in order of time; other objects below its folder are left to `read_inbox`."""
    found = (landed_file(meta, spec.folder) for meta in landing.list(f"{_prefix(spec)}{name.schema}/{name.table}/"))
    return _in_order(file for file in found if file is not None and file.parsed.table == name)


def _prefix(spec: SourceSpec) -> str:
    return f"{spec.folder}/" if spec.folder else ""


def _all_in_order(tables: Mapping[TableName, Iterable[LandedFile]]) -> dict[TableName, tuple[LandedFile, ...]]:
    return {name: _in_order(files) for name, files in tables.items()}


def _in_order(files: Iterable[LandedFile]) -> tuple[LandedFile, ...]:
    return tuple(sorted(files, key=lambda file: (file.identity.last_modified, file.identity.key)))
