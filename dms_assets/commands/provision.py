"""`dms-assets provision`."""

from __future__ import annotations

from pathlib import Path

import click

from dms_assets.commands.dms_client import dms_client
from dms_assets.commands.options import home_option


@click.command()
@click.argument("source")
@home_option
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
    click.echo(create(dms_client(environment.region), spec, credentials, LANDING_BUCKET, excluded))
