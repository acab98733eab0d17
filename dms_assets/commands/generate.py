"""`dms-assets generate`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dms_assets.commands.options import home_option

_EPILOG = """\b
Examples:
  dms-assets generate probation
  dms-assets generate probation --check

\b
Exit codes:
  0  written, or with --check nothing to write
  1  with --check, the committed models are not those of the metadata
  2  wrong usage
"""


@click.command(epilog=_EPILOG)
@click.argument("source")
@click.option("--check", is_flag=True, help="Write nothing; fail if the committed models are not these.")
@home_option
def generate(source: str, check: bool, home: Path) -> None:
    """Generate the dbt models of SOURCE from its last known metadata."""
    from dms_assets.curation.dbt_run import PROJECT_DIR  # noqa: PLC0415
    from dms_assets.curation.generate import check_models, generate_models  # noqa: PLC0415
    from dms_assets.curation.history_columns import history_columns  # noqa: PLC0415
    from dms_assets.environment import Environment  # noqa: PLC0415
    from dms_assets.installation import Installation  # noqa: PLC0415
    from dms_assets.sources import find_source  # noqa: PLC0415

    spec = find_source(source)
    known = list(Installation(Environment(home=home)).known_metadata(spec).values())
    target = PROJECT_DIR / "models" / "curated" / spec.name
    changed = (check_models if check else generate_models)(spec, known, target, history_columns(PROJECT_DIR))
    for path in changed:
        click.echo(f"{'differs' if check else 'wrote'}: {path}")
    if check and changed:
        sys.exit(1)
