"""`dms-assets dev`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from dms_assets.commands.options import home_option
from dms_assets.commands.stack_options import (
    port_option,
    scale_option,
    source_url_option,
    store_source_urls,
    workload_option,
)


@click.command()
@home_option
@port_option
@source_url_option
@workload_option
@scale_option
@click.option("--detached", is_flag=True, hidden=True)
def dev(
    home: Path, *, port: int | None, source_urls: tuple[str, ...], workload: bool, scale: float, detached: bool
) -> None:
    """Run the whole platform on this machine until Ctrl-C, and go on where it was at the next start.

    A PostgreSQL with a sample, Local DMS, the code server, the daemon, and two web servers on 127.0.0.1: one for
    engineers, one that only reads. As soon as the metadata is known, the DMS task is created and started. A process
    that dies is started again; one that dies again and again is told with the end of its log, and tried every few
    minutes while the others go on.

    \b
    Examples:
      dms-assets dev
      dms-assets dev --dir /data/stack --port 8080 --scale 0.1
      DMS_ASSETS_SOURCE_URL=postgresql://dms:secret@db/probation dms-assets dev --dir .dms-real

    \b
    Exit status: 0 stopped by Ctrl-C or SIGTERM, 1 could not start.
    """
    from dms_assets.stack.addresses import address_block  # noqa: PLC0415
    from dms_assets.stack.long_lived import LongLivedStack, StackOptions  # noqa: PLC0415
    from dms_assets.stack.progress_log import ProgressLog  # noqa: PLC0415

    store_source_urls(home, source_urls)
    log = ProgressLog()
    stack = LongLivedStack(home, StackOptions(workload=workload, port=port, scale=scale), log)
    try:
        stack.start()
        click.secho(f"\nDMS Assets is up after {log.elapsed:.0f} s, in {home.absolute()}", bold=True)
        if not detached:
            click.echo(address_block(stack.describe()))
            click.echo("  Ctrl-C stops everything; the next start goes on from here.\n")
        stack.run()
    except (KeyboardInterrupt, SystemExit):
        click.echo("\nStopping, in order ...")
    finally:
        with _undisturbed():
            stack.stop()
    click.echo("Everything is stopped.")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Further signals are answered, and change nothing: half a stop would leave processes behind."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: click.echo("still stopping ...")) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
