"""A whole stack but the daemon, made here rather than by a fixture, so that rows of the scorecard can have one too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from dms_assets.installation import Installation
from dms_assets.pipeline.dbt.catalogue import dbt_target, prepare_dbt
from dms_assets.sample.data import create_sample
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sources import find_source
from dms_assets.stack.local_stack import LocalStack
from dms_assets.stack.looks import Looks
from tests.processes.running_stack import SOURCE
from tests.system.conftest import System
from tests.system.drive import Drive


@contextmanager
def driven(home: Path, instance: dg.DagsterInstance | None = None) -> Iterator[System]:
    """A source, Local DMS, stores and definitions on a folder; runs are run in this process."""
    spec = find_source(SOURCE)
    with LocalStack(home) as stack, pytest.MonkeyPatch.context() as patch:
        for name, value in stack.process_environment().items():
            patch.setenv(name, value)
        postgres = EmbeddedPostgres(stack.environment.postgres_dir, secret=spec.connection.secret)
        with postgres, instance or dg.DagsterInstance.ephemeral() as kept:
            create_sample(postgres.dsn, scale=0.01)
            stack.start_local_dms()
            prepare_dbt(dbt_target(stack.environment))
            from dms_assets.definitions import defs

            yield System(stack, postgres, spec, Installation(stack.environment), Drive(defs(), kept))


def looks(system: System) -> Looks:
    """What it has not reached yet."""
    return Looks(system.installation, system.stack.parts.dms_client(), system.spec)
