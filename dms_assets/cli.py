"""The entry point `dms-assets`. A command is imported when it is asked for, so that `--help` answers at once."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from typing import NoReturn

import click

# Name of each command -> module and attribute below `dms_assets.commands`, and the line `--help` shows.
_COMMANDS = {
    "alerts": ("alerts:alerts", "What is wrong now, once per cause, and what was wrong lately."),
    "demo": ("demo:demo", "Take a real PostgreSQL to proven curated history, headless."),
    "dev": ("dev:dev", "Run the whole platform on this machine until Ctrl-C, with its UI."),
    "doctor": ("doctor:doctor", "Look at source databases for all that DMS needs, or would lose."),
    "generate": ("generate:generate", "Generate the dbt models of a source from its metadata."),
    "local-dms": ("local_dms:local_dms", "Serve the AWS DMS API on this machine, with real data."),
    "provision": ("provision:provision", "Create or correct what a source needs in DMS."),
    "quarantine": ("quarantine:quarantine", "Files that were rejected: look at them, replay or discard them."),
    "query": ("query:query", "Ask the read copy of the warehouse a question in SQL."),
    "reconcile": ("reconcile:reconcile", "Compare curated tables with their live source, value by value."),
    "reload": ("reload:reload", "Load tables of a source again, with a reason."),
    "stack": ("stack:stack", "Run the platform in the background: up, down, status."),
    "status": ("status:status", "How every source and table is: pending, held, lag, last reconciliation."),
    "sync": ("sync:sync", "Wait until everything the sources hold now is curated."),
    "task": ("task:task", "Start, resume and stop the DMS task of a source."),
}


class _Commands(click.Group):
    """Imports one command at a time; the list of all needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click passes it
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(f"dms_assets.commands.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in sorted(_COMMANDS)])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dms-assets")
def cli() -> None:
    """A relational source in the data lake through AWS DMS, every change exactly once."""


def main() -> None:
    """Run the command; an expected error is one message on standard error and status 1."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    # A supervisor's SIGTERM and a closed terminal must stop what a command started, as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Behind a shell's `&` Ctrl-C is not for us. But what we start must not inherit that: processes of Dagster treat
        # a SIGTERM as they treat Ctrl-C, and could not be stopped.
        signal.signal(signal.SIGINT, lambda *_: None)
    try:
        cli(standalone_mode=True)
    except (OSError, BotoCoreError, ClientError) as error:
        _fail(error)
    except Exception as error:
        # Errors of the platform's own name the thing, the reason and the remedy; all others are bugs to be seen whole.
        if not type(error).__module__.startswith("dms_assets."):
            raise
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    click.secho(f"error: {error}", fg="red", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
