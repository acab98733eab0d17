"""How far each table is: files waiting in landing, batches committed, batches curated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from dms_assets.curation.warehouse import open_published
from dms_assets.installation import Installation
from dms_assets.model.landed_file import parse_key
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.checks.hold import held, judge, read_summaries


@dataclass(frozen=True, slots=True)
class TableProgress:
    """One table. `batch` is the last one committed, `curated_batch` the last one in the published read copy."""

    name: TableName
    files: int
    batch: int
    curated_batch: int
    held: bool

    @property
    def settled(self) -> bool:
        """Nothing waits: all files taken in, all batches curated, unless the table is held."""
        return self.files == 0 and self.batch > 0 and (self.held or self.batch == self.curated_batch)


def curated_batches(installation: Installation, source: str) -> Mapping[TableName, int]:
    """The last batch of each table in the published read copy; empty before the first build."""
    try:
        connection = open_published(installation.environment.published_file)
    except FileNotFoundError:
        return {}
    with connection:
        rows = connection.execute(
            "select table_schema, table_name, batch from platform.pinned_snapshots where source = ?", [source]
        ).fetchall()
    return {TableName(schema, table): batch for schema, table, batch in rows}


def read_progress(installation: Installation, spec: SourceSpec) -> list[TableProgress]:
    """The progress of every declared table, in the order of the declaration."""
    files: Counter[TableName] = Counter()
    for meta in installation.landing.list(f"{spec.folder}/" if spec.folder else ""):
        key = parse_key(meta.key, spec.folder)
        if key is not None:
            files[key.table] += 1
    curated = curated_batches(installation, spec.name)
    summaries = read_summaries(installation, spec, spec.table_names)
    waiting = held(judge(installation, spec, summaries))
    return [
        TableProgress(name, files[name], summary.batch, curated.get(name, 0), name in waiting)
        for name, summary in summaries.items()
    ]
