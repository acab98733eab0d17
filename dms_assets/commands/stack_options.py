"""Options and steps that `dev` and `stack up` share."""

from __future__ import annotations

from pathlib import Path

import click

port_option = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Of the web server. Default: that of the last start if it is free, else 3000, else any.",
)
"""`--port`: `int | None`."""

source_url_option = click.option(
    "--source-url",
    "source_urls",
    multiple=True,
    envvar="DMS_ASSETS_SOURCE_URL",
    metavar="[NAME=]URL",
    help="An existing database, postgresql://user:password@host:port/database, in place of the embedded sample. "
    "Stored in the folder, for you only; give it once. In the variable it is not seen in the list of processes.",
)
"""`--source-url`: `tuple[str, ...]`."""

workload_option = click.option(
    "--workload/--no-workload", default=True, show_default=True, help="Change the embedded sample now and then."
)
"""`--no-workload`: `workload`, a `bool`."""

scale_option = click.option(
    "--scale",
    type=click.FloatRange(0.01, 50),
    default=1.0,
    show_default=True,
    help="Size of the embedded sample when it is made; 1 is 200,000 rows.",
)
"""`--scale`: a `float`."""


def store_source_urls(home: Path, urls: tuple[str, ...]) -> None:
    """Write the secrets of existing databases. Raises SourceUrlError, UnknownSourceError or SourceChosenError."""
    from dms_assets.environment import Environment  # noqa: PLC0415
    from dms_assets.sources import read_sources  # noqa: PLC0415
    from dms_assets.stack.source_choice import parse_source_url, use_database  # noqa: PLC0415

    specs = list(read_sources()[0].values())
    for url in urls:
        use_database(Environment(home=home), *parse_source_url(url, specs))
