"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

home_option = click.option(
    "--dir",
    "--home",
    "home",
    type=click.Path(path_type=Path),
    envvar="DMS_ASSETS_HOME",
    default=Path(".dms"),
    show_default=True,
    help="Folder of the stack.",
)
"""`--dir` or `--home`: the folder of the stack, a `Path`."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""`--json`: machine-readable output, `as_json`."""
