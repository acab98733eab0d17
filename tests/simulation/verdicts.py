"""The product's own verdict on tables: which of them differ from the source, beside what plain counts tell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from psycopg import sql

from dms_assets.model.names import Layer, TableName, quote, warehouse_schema
from dms_assets.pipeline.reconciliation import rounds
from dms_assets.pipeline.reconciliation.reconcile import Limits, Reconciler
from dms_assets.reconcile.compare import open_warehouse
from tests.simulation.capture import PATIENCE_S
from tests.simulation.schema import rewritten_column
from tests.simulation.steps import Do
from tests.simulation.world import SOURCE, World

_LOOK_S = 0.1


def judge(world: World) -> set[TableName]:
    """Tables that reconciliation finds diverged, when everything has arrived. All must be compared, without a doubt."""

    def look_on(_: float) -> None:
        world.tick()
        time.sleep(_LOOK_S)

    reconciler = Reconciler(world.installation, world.spec, lambda _: None, Limits(timeout_s=PATIENCE_S), pause=look_on)
    # One thread drives all sessions, so no commit is on its way and no key has to be left in doubt for that.
    with patch.object(rounds, "COMMIT_TO_VISIBLE", timedelta(0)):
        results = [found.result for found in reconciler.run([table.name for table in world.tables])]
    for result in results:
        assert result.compared, f"{result.table} was not compared: {result.reason}"
        assert not result.in_doubt, f"{result.table}: {result.in_doubt} keys in doubt, though the source is at rest"
    world.counts["verdicts of reconciliation"] += len(results)
    return {result.table for result in results if result.diverged}


def plainly_broken(world: World) -> dict[TableName, set[Do]]:
    """Of the tables whose log was broken: what of it counts alone show, which know nothing of keys or values."""
    found: dict[TableName, set[Do]] = {}
    for name, causes in world.broken.items():
        source, curated = _source_counts(world, name), _curated_counts(world, name)
        shown = {
            cause
            for cause, differs in (
                (Do.TRUNCATE, source[0] < curated[0]),
                (Do.REWRITE, source[1] > curated[1]),
            )
            if differs and cause in causes
        }
        if shown:
            found[name] = shown
    return found


def _source_counts(world: World, name: TableName) -> tuple[int, int]:
    """Rows, and rows that the rewriting marked."""
    text = _text_column(world, name)
    marked = sql.SQL("count(*) filter (where {} like '%!')").format(sql.Identifier(text)) if text else sql.SQL("0")
    query = sql.SQL("select count(*), {} from {}").format(marked, sql.Identifier(name.schema, name.table))
    return _pair(world.sessions.admin.execute(query).fetchone())


def _curated_counts(world: World, name: TableName) -> tuple[int, int]:
    text = _text_column(world, name)
    marked = f"count(*) filter (where {quote(text)} like '%!')" if text else "0"
    relation = f"{quote(warehouse_schema(SOURCE, name.schema, Layer.CURATED))}.{quote(name.table)}"
    with open_warehouse(world.stack.environment.published_file) as connection:
        return _pair(connection.execute(f"select count(*), {marked} from {relation}").fetchone())


def _pair(row: Sequence[Any] | None) -> tuple[int, int]:
    assert row is not None
    return int(row[0]), int(row[1])


def _text_column(world: World, name: TableName) -> str | None:
    table = next(table for table in world.sessions.tables if table.name == name.table)
    column = rewritten_column(table)
    return column.name if column else None
