"""`dms-assets task`: start and stop the DMS task of a source."""

from __future__ import annotations

from pathlib import Path

import click

from dms_assets.commands.options import home_option


@click.group()
def task() -> None:
    """Start, resume and stop the DMS task of a source.

    \b
    Examples:
      dms-assets task start probation
      dms-assets task stop probation
    """


@task.command()
@click.argument("source")
@home_option
def start(source: str, home: Path) -> None:
    """Start the task of SOURCE for the first time, or resume it where it stopped.

    \b
    Example:
      dms-assets task start probation

    \b
    Exit status: 0 it runs, 1 there is no such task, or it does not start (the reason is told).
    """
    from dms_assets.commands.dms_client import dms_client  # noqa: PLC0415
    from dms_assets.dms import control, task_reader  # noqa: PLC0415
    from dms_assets.environment import Environment  # noqa: PLC0415
    from dms_assets.sources import find_source  # noqa: PLC0415

    identifier = task_reader.task_identifier(find_source(source).name)
    control.start(dms_client(Environment(home=home).region, home), identifier)
    click.echo(f"{identifier} runs")


@task.command()
@click.argument("source")
@home_option
def stop(source: str, home: Path) -> None:
    """Stop the task of SOURCE, and wait until what it holds is written.

    \b
    Example:
      dms-assets task stop probation

    \b
    Exit status: 0 it is stopped, 1 there is no such task.
    """
    from dms_assets.commands.dms_client import dms_client  # noqa: PLC0415
    from dms_assets.dms import control, task_reader  # noqa: PLC0415
    from dms_assets.environment import Environment  # noqa: PLC0415
    from dms_assets.sources import find_source  # noqa: PLC0415

    identifier = task_reader.task_identifier(find_source(source).name)
    control.stop(dms_client(Environment(home=home).region, home), identifier)
    click.echo(f"{identifier} is stopped")
