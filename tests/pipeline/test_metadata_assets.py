"""The metadata assets of a source: what is wrong with one table is told with the others', and stops none of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.metadata_assets import build_metadata_assets
from dms_assets.sample.connection import write_secret
from dms_assets.sample.postgres import EmbeddedPostgres

pytestmark = pytest.mark.postgres

SPEC = SourceSpec.model_validate(
    {
        "name": "shop",
        "engine": "postgres",
        "connection": {"secret": "shop/dms"},
        "schema": "app",
        "tables": ["good", "collides", "gone", "gone_too"],
    }
)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        installation = Installation(Environment(home=tmp_path))
        write_secret(installation.environment.secret_path("shop/dms"), server.connection_info)
        with psycopg.connect(server.dsn) as connection:
            connection.execute("create schema app")
            connection.execute("create table app.good (id integer primary key)")
            connection.execute('create table app.collides (id integer primary key, note text, "Note" text)')
        yield installation


def test_a_refused_table_hides_no_missing_one(installation: Installation) -> None:
    specs = [dg.AssetSpec(table_key("shop", Layer.METADATA, name)) for name in SPEC.table_names]
    with pytest.raises(Exception, match="collides") as raised:
        dg.materialize([build_metadata_assets(SPEC, specs)], resources={"installation": installation})
    told = str(raised.value)
    assert "column 'Note' is taken for 'note'" in told
    assert "no table app.gone, app.gone_too" in told
    assert installation.known_metadata(SPEC).keys() == {TableName("app", "good")}
