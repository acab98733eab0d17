"""A platform to look at: the sample loaded and curated, one table held, two web servers; no daemon moves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import dagster as dg
import pytest
import yaml

from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.lake.quarantine import Entry, Quarantine
from dms_assets.model.names import TableName
from dms_assets.pipeline.dbt.catalogue import dbt_target, prepare_dbt
from dms_assets.sample.data import create_sample
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sources import find_source
from dms_assets.stack.dagster_instance import prepare
from dms_assets.stack.local_stack import LocalStack
from dms_assets.stack.parts import Part
from tests.system.conftest import System
from tests.system.drive import Drive

T = TypeVar("T")
HELD = TableName("probation", "payment")


@dataclass(frozen=True)
class UiPlatform:
    """`ui` and `ui_read_only` are addresses, `log` is that of `ui`; `rejected` is the file that holds `HELD`."""

    system: System
    ui: str
    ui_read_only: str
    log: Path
    rejected: Entry

    def apart(self, work: Callable[[], T]) -> T:
        """Do something with the drive while a browser is open: Dagster's event loop needs a thread of its own."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(work).result()


def _settings(environment: Environment) -> None:
    """Those of a stack, but runs start at once: there is no daemon to take them from a queue."""
    prepare(environment.dagster_home)
    file = environment.dagster_home / "dagster.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["run_coordinator"] = {"module": "dagster.core.run_coordinator", "class": "DefaultRunCoordinator"}
    del settings["concurrency"]
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")


def _hold(system: System) -> Entry:
    """A broken file appears in landing; the landing sensor asks for the run that rejects it."""
    spec = system.spec
    system.installation.landing.put(f"{spec.folder}/{HELD.schema}/{HELD.table}/20260101-000000001.parquet", b"broken")
    system.drive.tick(f"{spec.name}_landing_sensor")
    (entry,) = Quarantine(system.installation.quarantine, spec.name).entries(HELD)
    return entry


@contextmanager
def ui_platform(home: Path) -> Iterator[UiPlatform]:
    """Everything is stopped at the end; the folder stays."""
    spec = find_source("probation")
    with ExitStack() as end, pytest.MonkeyPatch.context() as patch:
        stack = end.enter_context(LocalStack(home))
        for name, value in stack.process_environment().items():
            patch.setenv(name, value)
        _settings(stack.environment)
        postgres = end.enter_context(EmbeddedPostgres(stack.environment.postgres_dir, secret=spec.connection.secret))
        instance = end.enter_context(dg.DagsterInstance.from_config(str(stack.environment.dagster_home)))
        create_sample(postgres.dsn, scale=0.01)
        stack.start_local_dms()
        prepare_dbt(dbt_target(stack.environment))
        from dms_assets.definitions import defs

        system = System(stack, postgres, spec, Installation(stack.environment), Drive(defs(), instance))
        system.load()
        rejected = _hold(system)
        _launch(stack.parts.code_server(), end)
        for read_only in (False, True):
            _launch(stack.parts.web_server(read_only=read_only), end)
        ui, ui_read_only = (stack.parts.ui_url(read_only=read_only) for read_only in (False, True))
        yield UiPlatform(system, ui, ui_read_only, stack.parts.logs / "ui.log", rejected)


def _launch(part: Part, end: ExitStack) -> None:
    process = part.launch()
    end.callback(process.stop)
    process.wait_ready(part.ready, part.ready_timeout_s)
