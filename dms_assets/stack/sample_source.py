"""The sample source of a stack: its embedded PostgreSQL, with the sample in it."""

from __future__ import annotations

import psycopg

from dms_assets.environment import Environment
from dms_assets.model.source_spec import SourceSpec
from dms_assets.sample.data import SCHEMA, SampleReport, create_sample
from dms_assets.sample.postgres import EmbeddedPostgres


def embedded_postgres(environment: Environment, spec: SourceSpec) -> EmbeddedPostgres:
    """The server of a source in this stack, not started."""
    return EmbeddedPostgres(environment.postgres_dir, secret=spec.connection.secret)


def ensure_sample(dsn: str, *, scale: float, seed: int) -> SampleReport | None:
    """Make the sample, which is made in one transaction; None if it is there already."""
    with psycopg.connect(dsn) as connection:
        known = connection.execute("select from pg_namespace where nspname = %s", [SCHEMA]).fetchone()
    return None if known is not None else create_sample(dsn, scale=scale, seed=seed)
