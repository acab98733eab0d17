"""What the parts say of a table that differs: printed with the difference, for the folder may be gone by then."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from dms_assets.lake.ledger import Ledger
from dms_assets.lake.pinned_snapshot import validated_identifier
from dms_assets.lake.table_summary import read_summary
from dms_assets.model.names import Layer, TableName, quote, warehouse_schema
from dms_assets.reconcile.compare import open_warehouse
from tests.simulation.world import SOURCE, World

_MOST_CHANGES = 300


def evidence(world: World, name: TableName) -> str:
    """Instants, loads, files and DMS's own words of one table, a line each; times are UTC."""
    parts = (_instants(world), _loads(world, name), _files(world, name), _changes(world, name), _events(world))
    return "\n".join(["", *chain.from_iterable(parts)])


def _instants(world: World) -> Iterator[str]:
    for number, recorded in enumerate(world.recorded):
        yield f"instant {number}: {recorded.state.at.isoformat()}"


def _loads(world: World, name: TableName) -> Iterator[str]:
    summary = read_summary(world.installation.catalog, validated_identifier(SOURCE, name))
    for load in summary.loads:
        yield f"load {load.load_id}: {load.rows} rows, boundary {load.boundary_at.isoformat()} {load.boundary_seq}"


def _files(world: World, name: TableName) -> Iterator[str]:
    rows = Ledger(world.installation.ledger, SOURCE).rows(name)
    for row in sorted(rows, key=lambda row: (row.last_modified, row.key, row.at)):
        yield (
            f"file {row.key} {row.etag} of {row.last_modified}: {row.event} at {row.at}, {row.rows} rows, "
            f"batch {row.batch}, stream {row.stream}, {row.reason or ''}"
        )


def _changes(world: World, name: TableName) -> Iterator[str]:
    versions = f"{quote(warehouse_schema(SOURCE, name.schema, Layer.CURATED))}.{quote(f'{name.table}_versions')}"
    with open_warehouse(world.stack.environment.published_file) as connection:
        found = connection.execute(
            "select _commit_at, _op, _stream, _follows_load, _seq, _position, _file, _batch, _last_batch, "
            f"count(*) as rows from {versions} group by all order by _commit_at, _seq limit {_MOST_CHANGES}"
        ).fetchall()
    return (f"change {' | '.join(map(str, row))}" for row in found)


def _events(world: World) -> Iterator[str]:
    for page in world.capture.dms.client().get_paginator("describe_events").paginate():
        for event in page["Events"]:
            yield f"DMS {event['Date'].isoformat()}: {event['Message']}"
