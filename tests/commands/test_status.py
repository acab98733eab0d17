"""`dms-assets status` as it is called: in a process of its own, beside nothing, and beside a running stack."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import dms_assets.pipeline.status.read as reading
from dms_assets.commands.status import status
from dms_assets.stack.stack_file import StackFile, StackState, write_stack_file
from dms_assets.stack.stack_lock import take
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import World, cdc_table, load_table, rows
from tests.web.installed_world import declared, installed_world


@pytest.fixture(scope="module")
def worker() -> Iterator[ValidationWorker]:
    with ValidationWorker() as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, worker: ValidationWorker, monkeypatch: pytest.MonkeyPatch) -> World:
    _, made = installed_world(tmp_path / "home", worker)
    # The sources are those of the package; here, the world's.
    monkeypatch.setattr(reading, "read_sources", lambda: declared(made))
    made.land_load(load_table(rows(3)))
    made.loaded(3)
    made.ingest()
    return made


def _status(home: Path, *options: str) -> Result:
    return CliRunner().invoke(status, ["--dir", str(home), *options])


def test_all_well(world: World) -> None:
    result = _status(world.home)
    assert result.exit_code == 0, result.output
    assert "app.person" in result.output
    assert "all is well" in result.output
    assert f"no stack runs in {world.home}" in result.output


def test_a_held_table_is_status_1_and_named(world: World) -> None:
    world.land("20260101-000000001.parquet", cdc_table(rows(1, 9, name=["CANARY-FAR-TOO-LONG"])))
    world.ingest()
    result = _status(world.home)
    assert result.exit_code == 1
    assert "held" in result.output
    assert "1 length" in result.output
    assert "CANARY" not in result.output
    entry = world.quarantine.entries()[0].entry_id
    assert entry in result.output


def test_json_has_everything_and_the_stack_if_one_runs(world: World) -> None:
    document = json.loads(_status(world.home, "--json").output)
    assert (document["well"], document["stack"]) == (True, None)
    with take(world.home):
        write_stack_file(world.home, _stack(world.home))
        document = json.loads(_status(world.home, "--json").output)
        assert document["stack"]["urls"]["ui"] == "http://127.0.0.1:3000"
        assert "http://127.0.0.1:3000/platform" in _status(world.home).output


def _stack(home: Path) -> StackFile:
    paths: dict[str, Any] = dict.fromkeys(("warehouse", "landing", "secrets", "logs"), str(home))
    urls = {"ui": "http://127.0.0.1:3000", "ui_read_only": "http://127.0.0.1:3001", "local_dms": "http://127.0.0.1:2"}
    return StackFile(os.getpid(), str(home), StackState.UP, datetime.now(UTC), urls, {}, paths, {})


def test_no_folder_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    result = _status(tmp_path / "none")
    assert result.exit_code == 1
    assert "dms-assets dev" in result.output
    assert not (tmp_path / "none").exists()


def test_the_help_has_examples_and_exit_codes() -> None:
    with click.Context(status) as context:
        text = status.get_help(context)
    assert "Examples:" in text
    assert "Exit status:" in text
