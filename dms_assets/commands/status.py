"""`dms-assets status`: how every source and table is."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dms_assets.commands.options import home_option, json_option

if TYPE_CHECKING:
    from dms_assets.environment import Environment
    from dms_assets.pipeline.status.model import PlatformStatus

NOT_WELL = 1


@click.command()
@home_option
@json_option
def status(home: Path, *, as_json: bool) -> None:
    """How every source and table is: pending, committed and curated batches, holds, lag, last reconciliation.

    Only looks: it changes nothing, and works beside a running stack and without one. If a stack runs in the folder,
    its addresses and paths are told too.

    \b
    Examples:
      dms-assets status
      dms-assets status --dir /data/stack --json | jq -r '.problems[]'
      dms-assets status > /dev/null || notify "DMS Assets needs a look"

    \b
    Exit status: 0 all is well; 1 something is held, failed, diverged or not captured, or there is no stack in the
    folder; 2 wrong usage.
    """
    from dms_assets.environment import Environment  # noqa: PLC0415 `--help` answers without
    from dms_assets.stack.addresses import address_block  # noqa: PLC0415
    from dms_assets.stack.stack_file import read_stack_file  # noqa: PLC0415

    if not home.is_dir():
        raise click.ClickException(
            f"there is no {home}: start a stack with `dms-assets dev`, or name its folder (--dir)"
        )
    found = _read(Environment(home=home.absolute()))
    stack = read_stack_file(home)
    if as_json:
        click.echo(json.dumps({**found.to_json(), "stack": stack.to_json() if stack else None}, indent=1))
    else:
        from dms_assets.commands.status_table import print_status  # noqa: PLC0415

        print_status(found)
        click.echo(address_block(stack) if stack else f"no stack runs in {home}")
    sys.exit(0 if found.well else NOT_WELL)


def _read(environment: Environment) -> PlatformStatus:
    import dagster as dg  # noqa: PLC0415 takes a second to import

    from dms_assets.installation import Installation  # noqa: PLC0415
    from dms_assets.pipeline.status.read import read_status  # noqa: PLC0415

    # Opening an instance makes its databases where there are none.
    made = (environment.dagster_home / "dagster.yaml").is_file()
    opened = dg.DagsterInstance.from_config(str(environment.dagster_home)) if made else nullcontext()
    with opened as instance:
        return read_status(Installation(environment), instance)
