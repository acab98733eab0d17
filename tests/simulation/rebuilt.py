"""History built from scratch, beside the one that grew through all the batches of a simulation."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb

from dms_assets.curation.dbt_run import DbtTarget, build
from dms_assets.curation.generate import relation_names
from dms_assets.model.names import Layer, TableName, quote, warehouse_schema

Rows = Counter[tuple[str, ...]]


def rebuilt_differently(target: DbtTarget, source: str, tables: list[TableName], folder: Path) -> Iterator[str]:
    """Relations that a full refresh of a copy of the warehouse gives other rows than the increments did."""
    # The file's name is the database's, which is part of every relation's name.
    copy = folder / "rebuilt" / target.warehouse.name
    copy.parent.mkdir(exist_ok=True)
    shutil.copyfile(target.warehouse, copy)
    build(replace(target, warehouse=copy), ["*"], full_refresh=True).raise_for_failures()
    with duckdb.connect(str(target.warehouse)) as grown, duckdb.connect(str(copy)) as rebuilt:
        for table in tables:
            for relation in relation_names(source, table):
                name = f"{quote(warehouse_schema(source, table.schema, Layer.CURATED))}.{quote(relation)}"
                before, after = _rows(grown, name), _rows(rebuilt, name)
                if before != after:
                    extra, lacking = list(before - after), list(after - before)
                    yield f"{name} grew to {len(extra)} rows that a rebuild has not: {extra[:1]}, but {lacking[:1]}"


def _rows(connection: duckdb.DuckDBPyConnection, relation: str) -> Rows:
    # By name: a column that came later is the last one in what grew.
    columns = sorted(column[0] for column in connection.execute(f"from {relation} limit 0").description)
    found = connection.execute(f"select {', '.join(map(quote, columns))} from {relation}").fetchall()
    # As text, for a NaN is not equal to itself.
    return Counter(tuple(map(repr, row)) for row in found)
