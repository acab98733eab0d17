"""The command `dms-assets`. Each command imports what it needs, so that `--help` answers at once."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient

    from dms_assets.lake.quarantine_cli import QuarantineAccess

_HOME = click.option(
    "--home",
    type=click.Path(path_type=Path),
    envvar="DMS_ASSETS_HOME",
    default=Path(".dms"),
    show_default=True,
    help="Folder of the stack.",
)


class _Commands(click.Group):
    """Knows the commands that live with the part they work on, and imports one only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "quarantine"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "quarantine":
            from dms_assets.lake.quarantine_cli import quarantine_group  # noqa: PLC0415

            return quarantine_group(_quarantine_access)
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dms-assets")
def cli() -> None:
    """A relational source in the data lake through AWS DMS, every change exactly once."""


@cli.command()
@click.option("--dir", "directory", type=click.Path(path_type=Path), help="Scratch folder; a new one by default.")
@click.option("--scale", type=click.FloatRange(0.01, 50), default=1.0, show_default=True, help="1 is 200,000 rows.")
@click.option("--keep", is_flag=True, help="Keep the scratch folder, to look at what is in it.")
@click.option("--seed", type=int, default=20_260_101, show_default=True, help="Of the data and the workload.")
def demo(directory: Path | None, scale: float, keep: bool, seed: int) -> None:
    """Take a real PostgreSQL to proven curated history, headless, and print the proof.

    Exit status 0 only if everything printed holds.
    """
    from dms_assets.demo.run import run_demo  # noqa: PLC0415

    def command(*arguments: str) -> None:
        cli.main(args=list(arguments), prog_name="dms-assets", standalone_mode=False)

    sys.exit(0 if run_demo(directory, command, scale=scale, keep=keep, seed=seed) else 1)


@cli.command("local-dms")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="Folder for its own state.")
@click.option("--buckets", type=click.Path(path_type=Path), required=True, help="Folder whose children are buckets.")
@click.option("--secrets", type=click.Path(path_type=Path), help="Folder of secrets that endpoints may name.")
@click.option("--port", type=int, default=0, show_default=True, help="On 127.0.0.1; 0 takes a free one.")
def local_dms(state: Path, buckets: Path, secrets: Path | None, port: int) -> None:
    """Serve the AWS DMS API on this machine, moving real data from PostgreSQL to folders that stand for buckets."""
    from dms_assets.local_dms.server import serve  # noqa: PLC0415

    serve(state=state, buckets=buckets, port=port, secrets=secrets)


@cli.command()
@click.argument("source")
@_HOME
def provision(source: str, home: Path) -> None:
    """Create or correct what SOURCE needs in DMS: instance, endpoints, task. Starts nothing; safe to repeat."""
    from dms_assets.dms.provision import provision as create  # noqa: PLC0415
    from dms_assets.environment import LANDING_BUCKET, Environment  # noqa: PLC0415
    from dms_assets.installation import Installation  # noqa: PLC0415
    from dms_assets.sources import find_source  # noqa: PLC0415

    environment = Environment(home=home)
    spec = find_source(source)
    known = Installation(environment).known_metadata(spec)
    unknown = [str(name) for name in spec.table_names if name not in known]
    if unknown:
        raise click.ClickException(
            f"no metadata yet of {', '.join(unknown)}; materialise the metadata assets of source '{source}' first, "
            "so that the task leaves out the columns that cannot be captured"
        )
    excluded = {name: metadata.excluded for name, metadata in known.items()}
    credentials = environment.secret(spec.connection.secret)
    click.echo(create(_dms_client(environment.region), spec, credentials, LANDING_BUCKET, excluded))


@cli.group()
def task() -> None:
    """Start, stop and look at the DMS task of a source."""


@task.command()
@click.argument("source")
@_HOME
def start(source: str, home: Path) -> None:
    """Start the task of SOURCE for the first time, or resume it where it stopped."""
    from dms_assets.dms import control, task_reader  # noqa: PLC0415
    from dms_assets.environment import Environment  # noqa: PLC0415

    control.start(_dms_client(Environment(home=home).region), task_reader.task_identifier(source))


@task.command()
@click.argument("source")
@_HOME
def stop(source: str, home: Path) -> None:
    """Stop the task of SOURCE, and wait until what it holds is written."""
    from dms_assets.dms import control, task_reader  # noqa: PLC0415
    from dms_assets.environment import Environment  # noqa: PLC0415

    control.stop(_dms_client(Environment(home=home).region), task_reader.task_identifier(source))


@cli.command()
@click.argument("source")
@click.option("--check", is_flag=True, help="Write nothing; fail if the committed models are not these.")
@_HOME
def generate(source: str, check: bool, home: Path) -> None:
    """Generate the dbt models of SOURCE from its last known metadata."""
    from dms_assets.curation.generate import check_models, generate_models  # noqa: PLC0415
    from dms_assets.curation.history_columns import history_columns  # noqa: PLC0415
    from dms_assets.environment import Environment  # noqa: PLC0415
    from dms_assets.installation import Installation  # noqa: PLC0415
    from dms_assets.pipeline.dbt_assets import PROJECT_DIR  # noqa: PLC0415
    from dms_assets.sources import find_source  # noqa: PLC0415

    spec = find_source(source)
    known = list(Installation(Environment(home=home)).known_metadata(spec).values())
    target = PROJECT_DIR / "models" / "curated" / spec.name
    changed = (check_models if check else generate_models)(spec, known, target, history_columns(PROJECT_DIR))
    for path in changed:
        click.echo(f"{'differs' if check else 'wrote'}: {path}")
    if check and changed:
        sys.exit(1)


def _quarantine_access(home: Path) -> QuarantineAccess:
    from dms_assets.environment import Environment  # noqa: PLC0415
    from dms_assets.installation import Installation  # noqa: PLC0415
    from dms_assets.lake.quarantine_cli import QuarantineAccess  # noqa: PLC0415
    from dms_assets.sources import read_sources  # noqa: PLC0415

    good, _ = read_sources()
    folders = {spec.name: spec.folder for spec in good.values()}
    return QuarantineAccess(Installation(Environment(home=home)).lake, folders)


def _dms_client(region: str):  # type: ignore[no-untyped-def]
    import boto3  # noqa: PLC0415

    client: DatabaseMigrationServiceClient = boto3.client("dms", region_name=region)
    return client


def main() -> None:
    """Run the command; an expected error is one message on standard error and status 1."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    # A supervisor's SIGTERM and a closed terminal must stop what a command started, as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
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
