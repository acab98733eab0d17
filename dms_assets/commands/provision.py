"""`dms-assets provision`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dms_assets.commands.options import home_option

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient

    from dms_assets.installation import Installation
    from dms_assets.model.source_spec import SourceSpec


@click.command()
@click.argument("source")
@home_option
@click.option("--force", is_flag=True, help="Go on although `dms-assets doctor` finds errors or cannot look.")
@click.option("--restart", is_flag=True, help="Stop a running task that is not as declared, change it, and resume it.")
def provision(source: str, home: Path, *, force: bool, restart: bool) -> None:
    """Create or correct what SOURCE needs in DMS: instance, endpoints, task. Starts nothing new; safe to repeat.

    Looks at the source first, as `dms-assets doctor` does, and refuses if it finds an error. DMS does not change a
    running task: what differs is then told and nothing is changed, unless --restart is given.

    \b
    Examples:
      dms-assets provision probation
      dms-assets provision probation --restart
      dms-assets provision probation --force

    \b
    Exit status: 0 everything is as declared, 1 refused (errors of the preflight, a running task that differs, DMS
    cannot connect), 2 the preflight cannot reach the source.
    """
    from dms_assets.commands.dms_client import dms_client, dms_endpoint  # noqa: PLC0415
    from dms_assets.dms import control  # noqa: PLC0415
    from dms_assets.dms.provision import TaskRunningError  # noqa: PLC0415
    from dms_assets.dms.task_reader import task_identifier  # noqa: PLC0415
    from dms_assets.environment import Environment  # noqa: PLC0415
    from dms_assets.installation import Installation  # noqa: PLC0415
    from dms_assets.sources import find_source  # noqa: PLC0415
    from dms_assets.stack.capture import provision_source  # noqa: PLC0415

    installation = Installation(Environment(home=home))
    spec = find_source(source)
    client = dms_client(installation.environment.region, home)
    if not force:
        _look(installation, spec, client, dms_endpoint(home))
    try:
        arn = provision_source(installation, client, spec)
    except TaskRunningError as error:
        if not restart:
            raise
        identifier = task_identifier(source)
        click.echo(f"changing: {'; '.join(error.differences)}", err=True)
        click.echo(f"stopping task {identifier}; it writes what it holds first", err=True)
        control.pause(client, identifier)
        arn = provision_source(installation, client, spec)
        click.echo(f"resuming task {identifier}", err=True)
        control.start(client, identifier)
    click.echo(arn)


def _look(
    installation: Installation, spec: SourceSpec, client: DatabaseMigrationServiceClient, endpoint: str | None
) -> None:
    """Preflight the source; end the command if it has errors or cannot be reached."""
    from dms_assets.commands.source_check import check, choose_extractor, show  # noqa: PLC0415
    from dms_assets.preflight.finding import Severity  # noqa: PLC0415
    from dms_assets.preflight.report import counts_text  # noqa: PLC0415
    from dms_assets.preflight.session import CannotConnectError  # noqa: PLC0415

    credentials = installation.environment.secret(spec.connection.secret)
    try:
        result = check(spec, credentials, choose_extractor(None, endpoint), client)
    except CannotConnectError as error:
        click.secho(f"error: {error}. Or give --force to go on without looking", fg="red", err=True)
        sys.exit(2)
    if result.count(Severity.ERROR):
        show(result.only(Severity.ERROR))
        raise click.ClickException(
            f"source '{spec.name}' is not fit to be extracted; apply the fixes above, or go on with --force"
        )
    click.echo(
        f"preflight of {spec.name}: {counts_text(result)} (`dms-assets doctor {spec.name}` shows them)", err=True
    )
