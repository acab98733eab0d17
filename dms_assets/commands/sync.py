"""`dms-assets sync`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dms_assets.commands.options import home_option, json_option

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient

    from dms_assets.environment import Environment
    from dms_assets.stack.progress_log import ProgressLog
    from dms_assets.stack.sync import SyncResult


@click.command()
@home_option
@click.option("--timeout", type=click.FloatRange(1), default=600.0, show_default=True, help="Seconds to wait.")
@json_option
def sync(home: Path, *, timeout: float, as_json: bool) -> None:
    """Wait until everything committed in the sources before the call is captured, validated and curated.

    Uses the stack that runs in the folder; if none does, starts one without web servers and workload, and stops it
    afterwards. Progress goes to standard error.

    \b
    Examples:
      dms-assets sync
      dms-assets sync --dir /data/stack --timeout 1800 --json | jq .settled

    \b
    Exit status: 0 settled, 1 not in time, a task does not run, or tables are held (see `dms-assets quarantine list`).
    """
    from dms_assets.environment import Environment  # noqa: PLC0415
    from dms_assets.installation import Installation  # noqa: PLC0415
    from dms_assets.sources import read_sources  # noqa: PLC0415
    from dms_assets.stack.looks import Looks  # noqa: PLC0415
    from dms_assets.stack.progress_log import ProgressLog  # noqa: PLC0415
    from dms_assets.stack.sync import sync as settle  # noqa: PLC0415

    log = ProgressLog(err=True)
    installation = Installation(Environment(home=home.absolute()))
    with _stack(installation.environment, log) as (client, check):
        sources = [Looks(installation, client, spec) for spec in read_sources()[0].values()]
        result = settle(sources, log, timeout, check=check)
    click.echo(json.dumps(result.to_json(), indent=2) if as_json else _told(result))
    sys.exit(0 if result.settled and not result.held else 1)


@contextmanager
def _stack(
    environment: Environment, log: ProgressLog
) -> Iterator[tuple[DatabaseMigrationServiceClient, Callable[[], None]]]:
    """Local DMS of the stack that runs, or of one for the time being; with what looks after it."""
    from dms_assets.stack.dms_client import local_dms_client  # noqa: PLC0415
    from dms_assets.stack.long_lived import LongLivedStack, StackOptions  # noqa: PLC0415
    from dms_assets.stack.stack_file import read_stack_file  # noqa: PLC0415

    running = read_stack_file(environment.root)
    if running is not None:
        yield local_dms_client(running.urls["local_dms"], environment.region), lambda: None
        return
    with LongLivedStack(environment.root, StackOptions(web=False, workload=False), log) as own:
        own.start()
        yield own.parts.dms_client(), own.tick


def _told(result: SyncResult) -> str:
    lines = [f"{'settled' if result.settled else result.reason} after {result.seconds:.1f} s"]
    lines += [
        f"  {table.table}: {table.files} files in {table.batches} batches" + (", HELD" if table.held else "")
        for table in result.tables
        if table.files or table.held
    ]
    return "\n".join(lines)
