"""`dms-assets query`."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dms_assets.commands.options import home_option

if TYPE_CHECKING:
    from dms_assets.curation.query import Answer

NOT_ANSWERED, NOT_PUBLISHED = 1, 3

_EPILOG = """\b
Examples:
  dms-assets query "select risk, count(*) from probation_probation_curated.offender group by 1"
  dms-assets query --as-of 2026-11-22T10:39:00Z "select * from probation_probation_curated.region"
  dms-assets query --format csv "from supervision_derived.reassessment_due where is_overdue" > overdue.csv
  dms-assets query "show all tables"

\b
Exit codes:
  0  answered
  1  the SQL is wrong, is no question, or asks beyond what is known
  2  wrong usage, such as an instant without a zone
  3  there is no read copy yet
"""


class _Instant(click.ParamType[datetime]):
    """An ISO 8601 instant with a zone."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"'{value}' is not an instant; write it as 2026-11-22T10:39:00Z", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"'{value}' has no zone; write 2026-11-22T10:39:00Z for UTC, or +01:00 for another", param, ctx)
        return instant


@click.command(epilog=_EPILOG)
@click.argument("sql")
@click.option("--as-of", type=_Instant(), help="Curated tables as they were at this instant (ISO 8601 with a zone).")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True, help="Output."
)
@home_option
def query(sql: str, as_of: datetime | None, form: str, home: Path) -> None:
    """Ask the read copy of the warehouse one question in DuckDB's SQL.

    Curated tables are in schemas <source>_<schema>_curated: `<table>` as it is now and `<table>_history`; derived
    tables are in <domain>_derived. The copy is replaced after each build and can be read while builds run; nothing
    can be written. The instant up to which the answer has every change goes to standard error (in JSON, into it).
    """
    from dms_assets.curation.dbt_run import PROJECT_DIR  # noqa: PLC0415
    from dms_assets.curation.history_columns import history_columns  # noqa: PLC0415
    from dms_assets.curation.query import NotPublishedError, QueryError, answer  # noqa: PLC0415
    from dms_assets.environment import Environment  # noqa: PLC0415

    try:
        found = answer(Environment(home=home).published_file, sql, as_of=as_of, history=history_columns(PROJECT_DIR))
    except NotPublishedError as error:
        _fail(error, NOT_PUBLISHED)
    except QueryError as error:
        _fail(error, NOT_ANSWERED)
    {"table": _table, "csv": _csv, "json": _json}[form](found, as_of)


def _fail(error: Exception, code: int) -> None:
    click.secho(f"error: {error}", fg="red", err=True)
    sys.exit(code)


def _table(found: Answer, as_of: datetime | None) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.measure import Measurement  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(found.columns):
        numeric = any(isinstance(row[number], int | float | Decimal) for row in found.rows[:1])
        shown.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in found.rows:
        shown.add_row(*(Text("" if value is None else str(_plain(value))) for value in row))
    console = Console()
    if not console.is_terminal:
        wide = Console(width=1_000_000)
        console = Console(width=max(80, Measurement.get(wide, wide.options, shown).maximum))
    console.print(shown)
    _tell(found, as_of)


def _csv(found: Answer, as_of: datetime | None) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(found.columns)
    writer.writerows(_values(row) for row in found.rows)
    _tell(found, as_of)


def _json(found: Answer, as_of: datetime | None) -> None:
    answered = {
        "as_of": as_of and as_of.isoformat(),
        "complete_to": found.complete_to and found.complete_to.isoformat(),
        "columns": found.columns,
        "rows": [_values(row) for row in found.rows],
    }
    click.echo(json.dumps(answered, ensure_ascii=False, allow_nan=False))


def _tell(found: Answer, as_of: datetime | None) -> None:
    rows = f"{len(found.rows)} row{'' if len(found.rows) == 1 else 's'}"
    if as_of is not None:
        click.echo(f"{rows}, as of {as_of.isoformat()}", err=True)
    elif found.complete_to is not None:
        click.echo(f"{rows}, every change up to {found.complete_to.isoformat()} is in", err=True)
    else:
        click.echo(rows, err=True)


def _values(row: Iterable[Any]) -> list[Any]:
    return [_plain(value) for value in row]


def _plain(value: Any) -> Any:
    """A value as text formats can hold it without loss: decimals and instants as text, bytes in hexadecimal."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value.hex() if isinstance(value, bytes) else value.isoformat() if isinstance(value, datetime) else str(value)
