"""`dms-assets stack`: the platform in the background."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from dms_assets.commands.options import home_option, json_option
from dms_assets.commands.stack_options import (
    port_option,
    scale_option,
    source_url_option,
    store_source_urls,
    workload_option,
)

DEGRADED, NOT_RUNNING = 1, 3


@click.group()
def stack() -> None:
    """Run the platform in the background, on one folder."""


@stack.command()
@home_option
@port_option
@source_url_option
@workload_option
@scale_option
@click.option("--timeout", type=click.FloatRange(1), default=300.0, show_default=True, help="Seconds to wait for it.")
@json_option
def up(
    home: Path,
    *,
    port: int | None,
    source_urls: tuple[str, ...],
    workload: bool,
    scale: float,
    timeout: float,
    as_json: bool,
) -> None:
    """Start everything as `dms-assets dev` does, detached from this terminal; returns when it is up.

    With --source-url an existing PostgreSQL is the source, and neither sample nor workload are started. Its first load
    goes on when the command has returned: follow it with `stack status`, or wait with `sync`.

    \b
    Examples:
      dms-assets stack up
      dms-assets stack up --dir /data/stack --source-url postgresql://dms:secret@db.example:5432/probation

    \b
    Exit status: 0 up, also if it was before; 1 could not start (all that had started is stopped).
    """
    from dms_assets.stack.detached import start_detached  # noqa: PLC0415
    from dms_assets.stack.stack_file import read_stack_file  # noqa: PLC0415

    found = read_stack_file(home)
    if found is None:
        store_source_urls(home, source_urls)
        arguments = ["--scale", str(scale), "--workload" if workload else "--no-workload"]
        arguments += [] if port is None else ["--port", str(port)]
        found = start_detached(home.absolute(), arguments, timeout, lambda text: click.echo(text, nl=False, err=True))
    elif not as_json:
        click.echo(f"already {found.state}, run by process {found.pid}")
    _show(found.to_json(), _described(home), as_json=as_json)


@stack.command()
@home_option
@click.option("--timeout", type=click.FloatRange(1), default=120.0, show_default=True, help="Seconds to wait for it.")
def down(home: Path, timeout: float) -> None:
    """Stop the stack of a folder and wait until it has stopped, also one that runs in a terminal. Safe to repeat.

    Also ends what a stack left running that was killed.

    \b
    Examples:
      dms-assets stack down
      dms-assets stack down --dir /data/stack

    \b
    Exit status: 0 nothing runs any more, 1 it did not stop in time.
    """
    from dms_assets.stack.shutdown import bring_down  # noqa: PLC0415

    click.echo("stopped" if bring_down(home.absolute(), timeout) else f"nothing runs in {home}")


@stack.command()
@home_option
@json_option
def status(home: Path, *, as_json: bool) -> None:
    """Every address and path of the stack of a folder, and how each of its processes is.

    \b
    Examples:
      dms-assets stack status
      duckdb -readonly "$(dms-assets stack status --json | jq -r .paths.warehouse)"

    \b
    Exit status: 0 up, 1 starting, stopping or degraded (a process is not up), 3 not running.
    """
    from dms_assets.stack.stack_file import StackState, read_stack_file  # noqa: PLC0415

    found = read_stack_file(home)
    if found is None:
        _show({"v": 1, "state": "down", "home": str(home.absolute())}, f"no stack runs in {home}", as_json=as_json)
        sys.exit(NOT_RUNNING)
    _show(found.to_json(), _described(home), as_json=as_json)
    sys.exit(0 if found.state is StackState.UP else DEGRADED)


def _described(home: Path) -> str:
    from dms_assets.stack.addresses import address_block, process_lines  # noqa: PLC0415
    from dms_assets.stack.stack_file import read_stack_file  # noqa: PLC0415

    found = read_stack_file(home)
    if found is None:
        return f"no stack runs in {home}"
    return f"{found.state}, run by process {found.pid}\n{address_block(found)}\n{process_lines(found)}"


def _show(document: dict[str, object], text: str, *, as_json: bool) -> None:
    click.echo(json.dumps(document, indent=2) if as_json else text)
