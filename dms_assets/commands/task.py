"""`dms-assets task`: start and stop the DMS task of a source."""

from __future__ import annotations

from pathlib import Path

import click

from dms_assets.commands.dms_client import dms_client
from dms_assets.commands.options import home_option


@click.group()
def task() -> None:
    """Start, resume and stop the DMS task of a source."""


@task.command()
@click.argument("source")
@home_option
def start(source: str, home: Path) -> None:
    """Start the task of SOURCE for the first time, or resume it where it stopped."""
    from dms_assets.dms import control, task_reader  # noqa: PLC0415
    from dms_assets.environment import Environment  # noqa: PLC0415

    control.start(dms_client(Environment(home=home).region), task_reader.task_identifier(source))


@task.command()
@click.argument("source")
@home_option
def stop(source: str, home: Path) -> None:
    """Stop the task of SOURCE, and wait until what it holds is written."""
    from dms_assets.dms import control, task_reader  # noqa: PLC0415
    from dms_assets.environment import Environment  # noqa: PLC0415

    control.stop(dms_client(Environment(home=home).region), task_reader.task_identifier(source))
