"""The sample source: what it must contain, the same every time, with nothing dangling."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import sql

import dms_assets
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.sample.data import copy_text, create_sample
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sample.tables import SAMPLE_TABLES, Counts


def digest(seed: int, scale: float = 0.02) -> str:
    text = hashlib.sha256()
    for table in SAMPLE_TABLES:
        for row in table.rows(random.Random(f"{seed}/{table.name}"), Counts.at(scale)):
            text.update("\t".join("\\N" if value is None else copy_text(value) for value in row).encode() + b"\n")
    return text.hexdigest()


def test_same_seed_gives_same_bytes_and_another_seed_others() -> None:
    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


def test_full_scale_is_about_two_hundred_thousand_rows_and_skewed() -> None:
    counts = Counts.at(1.0)
    sizes = [getattr(counts, name) for name in counts.__dataclass_fields__]
    assert 190_000 < sum(sizes) < 210_000
    assert max(sizes) > 1_000 * min(sizes)
    assert Counts.at(0.1).contact == 7_000
    with pytest.raises(ValueError, match="scale 0 is not above zero"):
        Counts.at(0)


def test_declared_source_is_valid_and_names_every_table() -> None:
    path = Path(dms_assets.__file__).parent / "defs" / "probation" / "defs.yaml"
    document = yaml.safe_load(path.read_text())
    assert document["type"] == "dms_assets.DmsSource"
    spec = SourceSpec.model_validate(document["attributes"])
    assert [table.name for table in spec.tables] == [table.name for table in SAMPLE_TABLES]
    assert len(spec.tables) >= 14


@pytest.mark.postgres
def test_every_table_and_column_has_a_comment_and_the_key_it_should(tables: list[TableMetadata]) -> None:
    assert [str(table.name) for table in tables if not table.comment] == []
    assert [f"{table.name}.{c.name}" for table in tables for c in table.columns if not c.comment] == []
    assert [table.name.table for table in tables if not table.key] == ["audit_event"]
    assert {len(table.key) for table in tables} == {0, 1, 2, 3}
    assert sum(len(table.foreign_keys) for table in tables) > 10
    full = {table.name.table for table in tables if table.full_images}
    assert full == {"offender", "contact", "assessment", "document", "migrated_value"}
    assert next(table for table in tables if table.name.table == "offender").excluded == ("display_name",)


@pytest.mark.postgres
def test_no_reference_dangles(sample: EmbeddedPostgres, tables: list[TableMetadata]) -> None:
    with psycopg.connect(sample.dsn) as connection:
        for table in tables:
            for key in table.foreign_keys:
                left = sql.SQL(", ").join(sql.Identifier("c", column) for column in key.columns)
                right = sql.SQL(", ").join(sql.Identifier("p", column) for column in key.references_columns)
                query = sql.SQL(
                    "select count(*) from {} c where ({}) is not null"
                    " and not exists (select from {} p where ({}) = ({}))"
                ).format(
                    sql.Identifier("probation", table.name.table),
                    left,
                    sql.Identifier("probation", key.references.table),
                    left,
                    right,
                )
                row = connection.execute(query).fetchone()
                assert row == (0,), f"{table.name} {key}"


@pytest.mark.postgres
def test_large_and_awkward_values_are_there(sample: EmbeddedPostgres) -> None:
    queries = {
        "texts beyond 32 KB": "select count(*) from probation.contact where octet_length(notes) > 32768",
        "out of line": "select count(*) from probation.contact where pg_column_toast_chunk_id(notes) is not null",
        "NaN": "select count(*) from probation.migrated_value where any_digits = 'NaN'",
        "infinite dates": "select count(*) from probation.address where lived_until = 'infinity'",
        "before Christ": "select count(*) from probation.migrated_value where extract(year from day) < 0",
        "emoji": "select count(*) from probation.contact where notes like '%🙂%'",
        "empty, not null": "select count(*) from probation.address where town = ''",
        "38 digits": "select count(*) from probation.payment where length(ledger_total::text) = 38",
        "generated": "select count(*) from probation.offender where display_name = last_name || ', ' || first_name",
    }
    with psycopg.connect(sample.dsn) as connection:
        for name, query in queries.items():
            row = connection.execute(query).fetchone()  # type: ignore[arg-type]
            assert row is not None, name
            assert row[0] > 0, name


@pytest.mark.postgres
def test_second_load_is_refused_and_changes_nothing(sample: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.errors.DuplicateSchema):
        create_sample(sample.dsn, scale=0.01)
    with psycopg.connect(sample.dsn) as connection:
        assert connection.execute("select count(*) from probation.region").fetchone() == (12,)
