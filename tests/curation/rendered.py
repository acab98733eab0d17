"""The SQL that dbt really runs for one shape of table, to run again by itself: thousands of cases need no dbt."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from dms_assets.curation.dbt_run import DbtTarget, build
from dms_assets.curation.generate import generate_models
from dms_assets.curation.source_views import create_source_views
from dms_assets.lake.pinned_snapshot import empty_snapshot
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata

PROJECT = Path(__file__).parents[2] / "dbt_project"
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass(frozen=True)
class Rendered:
    """What dbt runs for a table: the first build, an increment (a select, and the merge of it), and the views."""

    first: str
    increment: str
    merge: str
    history: str
    current: str
    schemas: tuple[str, str]

    def merged(self, increment: str) -> str:
        """The merge of a relation that holds the increment."""
        return self.merge.replace("@increment", increment)


def project_copy(folder: Path) -> Path:
    """The dbt project without its models, and what is said of them."""
    copy = folder / "dbt_project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("target", "logs", "models"))
    shutil.rmtree(copy / "tests" / "derived")
    project = copy / "dbt_project.yml"
    project.write_text(project.read_text(encoding="utf-8").partition("\nmodels:")[0], encoding="utf-8")
    return copy


def spec_of(name: str, tables: Sequence[TableMetadata], *, unique_positions: bool) -> SourceSpec:
    return SourceSpec.model_validate(
        {
            "name": name,
            "engine": "postgres",
            "connection": {"secret": "unused/secret"},
            "schema": tables[0].name.schema,
            "tables": [table.name.table for table in tables],
            "dms": {"unique_positions": unique_positions},
        }
    )


def render(folder: Path, tables: dict[str, tuple[TableMetadata, bool]]) -> dict[str, Rendered]:
    """Build empty tables twice and take what dbt ran: by source, for a table and whether its positions are unique."""
    project = project_copy(folder)
    target = DbtTarget(project, folder / "target", folder / "warehouse.duckdb")
    for source, (table, unique_positions) in tables.items():
        spec = spec_of(source, [table], unique_positions=unique_positions)
        generate_models(spec, [table], project / "models" / "curated" / source)
        with duckdb.connect(str(target.warehouse)) as connection:
            create_source_views(connection, source, table, empty_snapshot(("", ""), table), at=NOW)
    build(target, ["*"]).raise_for_failures()
    first = {source: _text(target, "compiled", source, table, "_versions") for source, (table, _) in tables.items()}
    build(target, ["*"]).raise_for_failures()
    return {source: _rendered(target, source, table, first[source]) for source, (table, _) in tables.items()}


def _rendered(target: DbtTarget, source: str, table: TableMetadata, first: str) -> Rendered:
    merge = re.sub(r'"\w+__dbt_tmp\d+"', "@increment", _text(target, "run", source, table, "_versions"))
    assert "MERGE INTO" in merge
    assert "@increment" in merge
    return Rendered(
        first=first,
        increment=_text(target, "compiled", source, table, "_versions"),
        merge=merge,
        history=_text(target, "compiled", source, table, "_history"),
        current=_text(target, "compiled", source, table, ""),
        schemas=(f"{source}_{table.name.schema}_validated", f"{source}_{table.name.schema}_curated"),
    )


def _text(target: DbtTarget, kind: str, source: str, table: TableMetadata, relation: str) -> str:
    folder = target.target_dir / kind / "dms_assets" / "models" / "curated" / source
    return (folder / f"{source}_{table.name.schema}__{table.name.table}{relation}.sql").read_text(encoding="utf-8")
