"""Tables are read from exactly the schema that is declared."""

from __future__ import annotations

import psycopg
import pytest

from dms_assets.metadata.reflect_postgres import ExclusionError, apply_exclusions, reflect
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.sample.conftest import sample

__all__ = ["sample"]
pytestmark = pytest.mark.postgres


def test_schemas_that_differ_in_case_only_are_told_apart(sample: EmbeddedPostgres) -> None:
    with psycopg.connect(sample.dsn, autocommit=True) as connection:
        connection.execute('create schema "Office" create table person (id int primary key, mine text)')
        connection.execute('create schema "office" create table person (id int primary key, theirs text)')
        for schema, column in (("Office", "mine"), ("office", "theirs")):
            found = reflect(connection, schema, ["person"]).tables[TableName(schema, "person")]
            assert [one.name for one in found.columns] == ["id", column]
        assert reflect(connection, "OFFICE", ["person"]).missing == (TableName("OFFICE", "person"),)
        connection.execute('drop schema "Office" cascade; drop schema "office" cascade')


def test_a_table_of_which_no_column_is_left_is_refused(sample: EmbeddedPostgres) -> None:
    spec = SourceSpec.model_validate(
        {
            "name": "s",
            "engine": "postgres",
            "connection": {"secret": "s"},
            "schema": "office",
            "tables": [{"name": "note", "exclude_columns": ["text"]}],
        }
    )
    with psycopg.connect(sample.dsn, autocommit=True) as connection:
        connection.execute("create schema office create table note (text text)")
        found = reflect(connection, "office", ["note"]).tables[TableName("office", "note")]
        connection.execute("drop schema office cascade")
    with pytest.raises(ExclusionError, match="no column is left; leave the table out"):
        apply_exclusions(found, spec)
