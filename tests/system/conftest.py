"""A whole stack but the daemon: PostgreSQL, Local DMS, a folder, a Dagster instance; one source of three tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from dms_assets.dms import control
from dms_assets.dms.provision import provision
from dms_assets.dms.task_reader import read_task, task_identifier
from dms_assets.environment import LANDING_BUCKET
from dms_assets.installation import Installation
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.task_state import TABLE_COMPLETED
from dms_assets.pipeline.dbt.catalogue import dbt_target, prepare_dbt
from dms_assets.pipeline.resources import DmsResource
from dms_assets.sample.data import create_sample
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sources import find_source
from dms_assets.stack.local_stack import LocalStack
from tests.local_dms.service import until
from tests.system.drive import Drive


@dataclass
class System:
    stack: LocalStack
    postgres: EmbeddedPostgres
    spec: SourceSpec
    installation: Installation
    drive: Drive

    @property
    def client(self):  # type: ignore[no-untyped-def]
        return DmsResource(region_name=self.stack.environment.region).client()

    @property
    def task(self) -> str:
        return task_identifier(self.spec.name)

    def execute(self, *statements: str) -> None:
        """One transaction on the source."""
        with psycopg.connect(self.postgres.dsn) as connection:
            for statement in statements:
                connection.execute(statement)

    def provision(self) -> None:
        known = self.installation.known_metadata(self.spec)
        excluded = {name: metadata.excluded for name, metadata in known.items()}
        credentials = self.stack.environment.secret(self.spec.connection.secret)
        provision(self.client, self.spec, credentials, LANDING_BUCKET, excluded)

    def load(self) -> None:
        """From nothing to all tables loaded and curated."""
        self.drive.settle(self.spec.name)
        self.provision()
        control.start(self.client, self.task)
        until(self.loaded)
        self.drive.settle(self.spec.name, 6)

    def loaded(self) -> bool:
        tables = read_task(self.client, self.task).tables
        return len(tables) == len(self.spec.tables) and all(t.state == TABLE_COMPLETED for t in tables.values())

    def definitions_of_dbt(self) -> list[dg.AssetKey]:
        specs = self.drive.definitions.resolve_all_asset_specs()
        return [spec.key for spec in specs if spec.key.path[1] == "curated"]

    def flush(self) -> None:
        """Everything captured so far is in landing: a stop writes what DMS holds."""
        control.stop(self.client, self.task)
        control.start(self.client, self.task)


@contextmanager
def small_system(home: Path) -> Iterator[System]:
    """The sample at a hundredth of its size, in a folder; the environment's variables are as before at the end."""
    spec = find_source("probation")
    with LocalStack(home) as stack, pytest.MonkeyPatch.context() as patch:
        for name, value in stack.process_environment().items():
            patch.setenv(name, value)
        postgres = EmbeddedPostgres(stack.environment.postgres_dir, secret=spec.connection.secret)
        with postgres, dg.DagsterInstance.ephemeral() as instance:
            create_sample(postgres.dsn, scale=0.01)
            stack.start_local_dms()
            prepare_dbt(dbt_target(stack.environment))
            from dms_assets.definitions import defs

            yield System(stack, postgres, spec, Installation(stack.environment), Drive(defs(), instance))


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with small_system(tmp_path / "home") as found:
        yield found
