"""The command `reconcile`: compare curated tables with their live source, every column of every row.

Exit status: 0 no difference; 1 tables differ, and their keys are listed; 2 something could not be compared, or wrong
usage. Keys that changed around every instant of the comparison are listed as in doubt, and count as neither.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dms_assets.commands.options import home_option, json_option

if TYPE_CHECKING:
    from dms_assets.model.names import TableName
    from dms_assets.model.source_spec import SourceSpec
    from dms_assets.pipeline.reconciliation.rounds import Reconciled
    from dms_assets.reconcile.result import ReconciliationResult

_EPILOG = """\b
Examples:
  dms-assets reconcile
  dms-assets reconcile --source probation --table contact --table offender
  dms-assets reconcile --json | jq '.[] | select(.equal | not)'

\b
Exit status:
  0  no difference was found
  1  tables differ; their keys are listed
  2  something could not be compared, or wrong usage"""


class _CannotCompareError(click.ClickException):
    exit_code = 2


@click.command(epilog=_EPILOG)
@click.option("--source", help="Only this source; all declared ones otherwise.")
@click.option("--table", "tables", multiple=True, help="Only this table of the source; may be repeated.")
@click.option("--timeout", default=300.0, show_default=True, help="Seconds to wait for curated to hold an instant.")
@json_option
@home_option
def reconcile(source: str | None, tables: tuple[str, ...], timeout: float, as_json: bool, home: Path) -> None:
    """Compare curated tables with their live source at one instant, value by value.

    The source is read in one transaction, as of its own clock; it need not be quiet. The stack has to run, so that
    what was committed up to then becomes curated. The keys of differing rows are shown here, and nowhere else.
    """
    found = [
        (spec, reconciled)
        for spec, names in _wanted(source, tables)
        for reconciled in _reconcile(spec, names, home, timeout)
    ]
    if as_json:
        click.echo(json.dumps([_row(spec, reconciled) for spec, reconciled in found], indent=1))
    else:
        for spec, reconciled in found:
            _tell(spec, reconciled)
    results = [reconciled.result for _, reconciled in found]
    if any(result.diverged for result in results):
        sys.exit(1)
    if not all(result.compared for result in results):
        sys.exit(2)


def _wanted(source: str | None, tables: Sequence[str]) -> list[tuple[SourceSpec, list[TableName]]]:
    from dms_assets.pipeline.declared_tables import UnknownTableError, declared_tables  # noqa: PLC0415 heavy
    from dms_assets.sources import UnknownSourceError, find_source, read_sources  # noqa: PLC0415

    try:
        specs = [find_source(source)] if source else list(read_sources()[0].values())
        if tables and len(specs) != 1:
            raise click.UsageError("several sources are declared; name the one of the tables with --source")
        return [(spec, declared_tables(spec, tables) if tables else spec.table_names) for spec in specs]
    except (UnknownTableError, UnknownSourceError) as error:
        raise click.UsageError(str(error)) from error


def _reconcile(spec: SourceSpec, names: Sequence[TableName], home: Path, timeout: float) -> list[Reconciled]:
    from dms_assets.environment import Environment, SecretNotFoundError  # noqa: PLC0415
    from dms_assets.installation import Installation  # noqa: PLC0415
    from dms_assets.metadata.source_connection import SourceUnreachableError  # noqa: PLC0415
    from dms_assets.model.engine import EngineNotSupportedError  # noqa: PLC0415
    from dms_assets.pipeline.reconciliation.reconcile import Limits, Reconciler  # noqa: PLC0415 heavy

    try:
        return Reconciler(Installation(Environment(home=home)), spec, _say, Limits(timeout_s=timeout)).run(names)
    except (
        SourceUnreachableError,
        SecretNotFoundError,
        EngineNotSupportedError,
    ) as error:
        raise _CannotCompareError(str(error)) from error


def _say(message: str) -> None:
    """Progress, for who watches."""
    if sys.stderr.isatty():
        click.secho(message, dim=True, err=True)


def _row(spec: SourceSpec, reconciled: Reconciled) -> dict[str, Any]:
    result = reconciled.result.to_json()
    differences = [
        {"fault": found.fault.value, "key": found.key, "columns": list(found.columns)}
        for found in reconciled.differences
    ]
    return {"source": spec.name, **result, "differences": differences}


def _tell(spec: SourceSpec, reconciled: Reconciled) -> None:
    result = reconciled.result
    name = f"{spec.name} {result.table}"
    if not result.compared:
        click.secho(f"{name}: not compared: {result.reason}", fg="yellow")
        click.echo("  let the stack run until nothing is pending (`dms-assets status` says what is), then repeat this")
        return
    word = "equal" if result.equal else "DIFFERS"
    click.secho(f"{name}: {word} as of {result.at:%Y-%m-%d %H:%M:%S.%f} UTC; {_counts(result)}", bold=result.diverged)
    for problem in result.structure:
        click.echo(f"  {problem}")
    for difference in reconciled.differences:
        click.echo(f"  {difference}")
    for key in reconciled.doubtful[:20]:
        click.echo(f"  in doubt ({', '.join(str(part) for part in key)})")
    if result.reason:
        click.echo(f"  {result.reason}")
    if result.diverged:
        click.echo(f'  repair: dms-assets reload {result.table.table} --source {spec.name} --reason "..."')


def _counts(result: ReconciliationResult) -> str:
    counts = {
        "missing": result.missing,
        "extra": result.extra,
        "different": result.different,
        "repeated": result.duplicates,
        "in doubt": result.in_doubt,
        "buckets differed for a time": result.healed_buckets,
    }
    told = [f"{count} {word}" for word, count in counts.items() if count]
    return ", ".join([f"{result.source_rows:,} rows in the source, {result.curated_rows:,} in curated", *told])
