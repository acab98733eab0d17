"""A column that comes into a running source under a name that collides is loud, and its values go nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dms_assets.lake.quarantine import EntryState
from dms_assets.metadata.column_names import ColumnNamesError
from dms_assets.model.names import TableName
from tests.local_dms.to_curated import SCHEMA, ToCurated

pytestmark = [pytest.mark.system, pytest.mark.postgres]
PERSON, OTHER = TableName(SCHEMA, "person"), TableName(SCHEMA, "other")


@pytest.fixture
def way(tmp_path: Path) -> Iterator[ToCurated]:
    with ToCurated(tmp_path, ["person", "other"]) as way:
        for table in ("person", "other"):
            way.source.execute(f"create table {table} (id int primary key, name text)")
            way.source.execute(f"insert into {table} values (1, 'first')")
        way.read_metadata()
        way.start()
        yield way


def _brought(way: ToCurated) -> None:
    way.captured()
    way.ingest()
    way.build()


def test_a_column_added_beside_one_of_nearly_its_name(way: ToCurated) -> None:
    _brought(way)
    way.source.execute('alter table person add column "Name" text')
    way.source.execute("insert into person values (2, 'lower', 'UPPER')")
    way.source.execute("insert into other values (2, 'flows')")
    with pytest.raises(ColumnNamesError, match=r"app\.person: column 'Name' is taken for 'name'\. Rename it .* reload"):
        way.read_metadata()
    _brought(way)

    # The table is held with what it had; nothing of the new column is anywhere; the other table flows.
    assert [entry.table for entry in way.quarantine.entries()] == [PERSON]
    assert way.quarantine.held_tables().keys() == {PERSON}
    assert way.unequal(way.state()).keys() == {PERSON}

    way.source.execute('alter table person rename column "Name" to other_name')
    way.read_metadata()
    # The file is judged by the new shape, which does not explain it either; an operator decides, and loads again.
    way.ingest()
    for entry in way.quarantine.entries():
        way.quarantine.decide(entry, EntryState.DISCARD, "named otherwise now", "test", datetime.now(UTC))
    way.reload([PERSON])
    _brought(way)
    assert not way.unequal(way.state())
