"""`dms-assets doctor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dms_assets.commands.options import home_option, json_option

if TYPE_CHECKING:
    from dms_assets.model.source_spec import SourceSpec
    from dms_assets.preflight.check import Result

ERRORS, UNREACHABLE = 1, 2


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@home_option
@json_option
@click.option("--fix-sql", is_flag=True, help="Print only the SQL that ends the findings, to review and run.")
@click.option(
    "--source-url",
    metavar="URL",
    help="Look at this database in place of the one in the secret: postgresql://user:password@host:port/database. "
    "Needs one SOURCE.",
)
@click.option(
    "--service",
    type=click.Choice(["aws", "local"]),
    help="Who will extract: AWS DMS or Local DMS. Default: local if a stack runs in the folder or DMS's address is on "
    "this machine.",
)
def doctor(
    sources: tuple[str, ...], home: Path, *, as_json: bool, fix_sql: bool, source_url: str | None, service: str | None
) -> None:
    """Look at source databases for all that DMS needs, or would lose; every finding comes with the statement to fix it.

    Reads the catalogue, and of columns whose values matter (large values, numbers without precision) the rows or a
    sample of them, in a read-only session. Changes nothing. Without SOURCE, all declared sources.

    \b
    Examples:
      dms-assets doctor
      dms-assets doctor probation --service aws
      dms-assets doctor probation --json | jq '.sources[].findings[] | select(.severity == "error")'
      dms-assets doctor probation --fix-sql > review-me.sql
      dms-assets doctor probation --source-url postgresql://dms@db.example/probation

    \b
    Exit status: 0 no errors, 1 at least one finding is an error, 2 a database cannot be reached.
    """
    from dms_assets.commands.dms_client import dms_client, dms_endpoint  # noqa: PLC0415
    from dms_assets.commands.source_check import check, choose_extractor  # noqa: PLC0415
    from dms_assets.environment import Environment  # noqa: PLC0415
    from dms_assets.preflight.finding import Severity  # noqa: PLC0415

    environment = Environment(home=home)
    endpoint = dms_endpoint(home)
    extractor = choose_extractor(service, endpoint)
    specs = _specs(sources)
    if source_url is not None and len(specs) != 1:
        raise click.UsageError("--source-url is the database of one source: name one SOURCE")
    client = dms_client(environment.region, home) if endpoint else None

    def one(spec: SourceSpec) -> Result:
        secret = environment.secret(spec.connection.secret) if source_url is None else _credentials(source_url)
        return check(spec, secret, extractor, client)

    results, unreachable = _all(specs, one)
    _print(results, unreachable, as_json=as_json, fix_sql=fix_sql)
    if unreachable:
        sys.exit(UNREACHABLE)
    sys.exit(ERRORS if any(result.count(Severity.ERROR) for result in results) else 0)


def _specs(names: Sequence[str]) -> list[SourceSpec]:
    from dms_assets.sources import find_source, read_sources  # noqa: PLC0415

    if names:
        return [find_source(name) for name in dict.fromkeys(names)]
    good, bad = read_sources()
    if bad:
        raise click.ClickException("\n".join(str(error) for error in bad.values()))
    return list(good.values())


def _credentials(url: str) -> dict[str, Any]:
    """A libpq URL as the content of a secret. Raises click.UsageError, without the URL, which holds a password."""
    import psycopg  # noqa: PLC0415
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        found = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise click.UsageError("--source-url is not postgresql://user:password@host:port/database") from None
    if missing := [part for part in ("host", "user", "dbname") if not found.get(part)]:
        raise click.UsageError(f"--source-url has no {', '.join(missing)}; add it")
    return {
        "host": found["host"],
        "port": found.get("port") or 5432,
        "dbname": found["dbname"],
        "username": found["user"],
        "password": found.get("password") or "",
        "sslmode": found.get("sslmode") or "prefer",
    }


def _all(
    specs: Sequence[SourceSpec], one: Callable[[SourceSpec], Result]
) -> tuple[list[Result], list[tuple[str, str, str]]]:
    """Results, and of sources that cannot be looked at: name, reason, remedy."""
    import psycopg  # noqa: PLC0415

    from dms_assets.environment import SecretNotFoundError  # noqa: PLC0415
    from dms_assets.preflight.session import CannotConnectError  # noqa: PLC0415

    results, unreachable = [], []
    for spec in specs:
        try:
            results.append(one(spec))
        except CannotConnectError as error:
            unreachable.append((spec.name, f"{error.where}: {error.reason}", error.remedy))
        except SecretNotFoundError as error:
            reason, _, remedy = str(error).partition("; ")
            unreachable.append((spec.name, reason, f"{remedy}, start the stack of this folder, or give --source-url"))
        except psycopg.OperationalError as error:
            reason = " ".join(str(error).split())
            unreachable.append((spec.name, f"lost while it was read: {reason}", "run the command again"))
    return results, unreachable


def _print(
    results: Sequence[Result], unreachable: Sequence[tuple[str, str, str]], *, as_json: bool, fix_sql: bool
) -> None:
    from dms_assets.commands.source_check import show  # noqa: PLC0415
    from dms_assets.preflight.report import fix_sql as fix_lines  # noqa: PLC0415

    if as_json:
        lost = [{"source": name, "error": reason, "remedy": remedy} for name, reason, remedy in unreachable]
        click.echo(json.dumps({"sources": [result.to_json() for result in results] + lost}, indent=2))
        return
    if fix_sql:
        for line in fix_lines(results):
            click.echo(line)
    else:
        for place, result in enumerate(results):
            if place:
                click.echo()
            show(result)
    for name, reason, remedy in unreachable:
        click.secho(f"error: source '{name}' cannot be looked at: {reason}", fg="red", err=True)
        click.echo(f"remedy: {remedy}", err=True)
