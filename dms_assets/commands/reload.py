"""The command `reload`: load tables of a source again.

Exit status: 0 done; 1 refused by DMS or not loaded in time; 2 wrong usage: an unknown table, no reason.
"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dms_assets.commands.dms_client import dms_client
from dms_assets.commands.options import home_option

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient

    from dms_assets.environment import Environment
    from dms_assets.model.task_state import TaskState
    from dms_assets.pipeline.reconciliation.reload import Reload

_EPILOG = """\b
Examples:
  dms-assets reload contact --source probation --reason "TRUNCATE in release 12"
  dms-assets reload contact offender --reason "differs, see the check" --wait
  dms-assets reload --fresh-stream --reason "the slot was lost"

\b
Exit status:
  0  DMS loads the tables; with --wait, they are loaded and curated
  1  DMS refused, or the load was not done in time
  2  wrong usage: an unknown source or table, no reason"""


@click.command(epilog=_EPILOG)
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.option("--source", help="The source of the tables; may be left out where only one is declared.")
@click.option("--reason", required=True, help="Why; it is kept with the request.")
@click.option("--fresh-stream", is_flag=True, help="Begin a new stream, which loads every table: after a gap.")
@click.option("--wait", is_flag=True, help="Wait until the load is curated. The stack has to run.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds to wait at most.")
@home_option
def reload(
    tables: tuple[str, ...],
    *,
    source: str | None,
    reason: str,
    fresh_stream: bool,
    wait: bool,
    timeout: float,
    home: Path,
) -> None:
    """Have DMS load TABLEs again, inside the running stream: the remedy for a table that differs from its source.

    Rows that the load has not are closed at its boundary, history before it stays. Where clocks are known only to some
    seconds, the load begins twice as many later. After a gap in the stream, ask for a fresh one: it loads every table.
    """
    from dms_assets.environment import Environment  # noqa: PLC0415
    from dms_assets.installation import Installation  # noqa: PLC0415
    from dms_assets.pipeline.declared_tables import UnknownTableError  # noqa: PLC0415
    from dms_assets.pipeline.reconciliation.reload import LoadsBefore, ReloadRefusedError, carry_out, plan_reload  # noqa: PLC0415
    from dms_assets.sources import UnknownSourceError, find_source, read_sources  # noqa: PLC0415

    environment = Environment(home=home)
    try:
        specs = [find_source(source)] if source else list(read_sources()[0].values())
        if len(specs) != 1:
            raise click.UsageError("several sources are declared; name the one of the tables with --source")
        spec = specs[0]
        planned = plan_reload(spec, tables, reason, getpass.getuser(), fresh_stream=fresh_stream)
    except (UnknownTableError, UnknownSourceError, ReloadRefusedError) as error:
        raise click.UsageError(str(error)) from error
    installation = Installation(environment)
    before = LoadsBefore.read(installation, spec, planned.tables)
    client = dms_client(environment.region, home)
    carry_out(installation, spec, client, planned, say=click.echo)
    _observe(environment, spec.name, planned)
    if wait:
        before.wait_for_new(installation, spec, task=lambda: _task(client, spec.name), timeout_s=timeout, say=_say)
        click.echo(f"loaded and curated: {', '.join(name.table for name in planned.tables)}")


def _task(client: DatabaseMigrationServiceClient, source: str) -> TaskState | None:
    """The task, None while DMS does not answer: the reload goes on without us."""
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 heavy

    from dms_assets.dms.task_reader import read_task, task_identifier  # noqa: PLC0415

    try:
        return read_task(client, task_identifier(source))
    except BotoCoreError as error:
        _say(f"DMS does not answer: {error}")
        return None


def _observe(environment: Environment, source: str, planned: Reload) -> None:
    """Show the request on the landing assets, if the stack has a Dagster instance."""
    if not (environment.dagster_home / "dagster.yaml").is_file():
        return
    import dagster as dg  # noqa: PLC0415 heavy

    from dms_assets.pipeline.reconciliation.reload_job import reload_observations  # noqa: PLC0415

    with dg.DagsterInstance.from_config(str(environment.dagster_home)) as instance:
        for observation in reload_observations(source, planned):
            instance.report_runless_asset_event(observation)


def _say(message: str) -> None:
    if sys.stderr.isatty():
        click.secho(message, dim=True, err=True)
