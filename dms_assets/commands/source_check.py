"""The preflight as commands use it: for which service, with whose slots, and its report on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient

    from dms_assets.model.source_spec import SourceSpec
    from dms_assets.preflight.check import Result
    from dms_assets.preflight.facts import Extractor
    from dms_assets.preflight.subject import GivenNames

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PROJECT_DIR = Path(__file__).resolve().parents[2] / "dbt_project"
_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def choose_extractor(chosen: str | None, endpoint: str | None) -> Extractor:
    """The service that will extract: the chosen one, else Local DMS if DMS's address is on this machine, else AWS."""
    from urllib.parse import urlsplit  # noqa: PLC0415 rare

    from dms_assets.preflight.facts import Extractor  # noqa: PLC0415

    if chosen is not None:
        return Extractor(chosen)
    return Extractor.LOCAL if endpoint and urlsplit(endpoint).hostname in _LOOPBACK else Extractor.AWS


def check(
    spec: SourceSpec,
    credentials: Mapping[str, Any],
    extractor: Extractor,
    client: DatabaseMigrationServiceClient | None,
) -> Result:
    """Preflight a source. `client` tells which slots are its own; None if DMS is not to be asked.

    Raises what `preflight.check.check_source` raises.
    """
    from dms_assets.preflight.check import check_source  # noqa: PLC0415
    from dms_assets.preflight.facts import Extractor  # noqa: PLC0415

    slots = _own_slots(client, spec.name) if client is not None and extractor is Extractor.LOCAL else None
    return check_source(spec, credentials, extractor=extractor, given=given_names(), own_slots=slots)


def given_names() -> GivenNames:
    """The names that the curated layer gives, as the dbt project sets them."""
    from dms_assets.curation.generate import GIVEN_SUFFIXES, PLATFORM_COLUMNS  # noqa: PLC0415 needs yaml
    from dms_assets.curation.history_columns import history_columns  # noqa: PLC0415
    from dms_assets.preflight.subject import GivenNames  # noqa: PLC0415

    return GivenNames((*history_columns(_PROJECT_DIR).names, *PLATFORM_COLUMNS), GIVEN_SUFFIXES)


def _own_slots(client: DatabaseMigrationServiceClient, source: str) -> frozenset[str] | None:
    """The slots of a source's task on Local DMS, by its naming rule. None if it does not answer."""
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    from dms_assets.dms.task_reader import find_task, task_identifier  # noqa: PLC0415
    from dms_assets.local_dms.postgres.slot import slot_name  # noqa: PLC0415

    try:
        task = find_task(client, task_identifier(source))
    except BotoCoreError:
        # A preflight must not depend on the service; it then says of every unread slot that it could not ask.
        return None
    return frozenset() if task is None else frozenset({slot_name(task.arn)})


def show(result: Result) -> None:
    """Print a report, coloured on a terminal."""
    from dms_assets.preflight.report import report_lines  # noqa: PLC0415

    for line, severity in report_lines(result):
        click.secho(line, fg=_COLOURS[severity.value] if severity else None, bold=severity is not None)
