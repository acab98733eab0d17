"""R21: canaries planted as personal values and secrets are nowhere but where rows and secrets belong."""

from __future__ import annotations

import contextlib
import json
import logging
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner

from dms_assets.cli import cli
from dms_assets.curation.warehouse import open_published
from dms_assets.lake.quarantine import Quarantine
from dms_assets.model.landed_file import cdc_file_name
from dms_assets.model.logical_type import Kind
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import TableMetadata
from tests.scorecard.figure import Budget, Outcome, Row
from tests.system.conftest import System
from tests.ui.platform import ui_platform

MARK = "cAnArY-zq81"
VALUES = 15
ROW_DATA = ("postgres", "buckets", "lake", "archive", "warehouse", "secrets")
"""Folders of a stack where rows and secrets are; so are the copies of rejected files."""


def _columns(system: System) -> Iterator[tuple[TableName, str]]:
    """Columns of free text, wide enough for a canary."""
    for name, metadata in system.installation.known_metadata(system.spec).items():
        for column in metadata.columns:
            wide = column.length is None or column.length >= len(MARK) + 3
            free = (
                column.source_type.startswith(("text", "varchar", "character varying"))
                and "[" not in column.source_type
            )
            if wide and free and not column.enum:
                yield name, column.name


def _plant_values(system: System) -> list[str]:
    canaries = []
    for name, column in list(_columns(system)):
        if len(canaries) == VALUES:
            break
        canary = f"{MARK}-{len(canaries):02d}"
        statement = f"update {name} set {column} = '{canary}' where ctid = (select min(ctid) from {name})"
        # A column with a rule of its own is left out.
        with contextlib.suppress(psycopg.errors.IntegrityError, psycopg.errors.StringDataRightTruncation):
            system.execute(statement)
            canaries.append(canary)
    return canaries


def _plant_file(system: System, metadata: TableMetadata) -> list[str]:
    """A change file of the right form whose rows break rules, with a canary in every text."""
    added, canaries = system.spec.dms.columns, []
    row: dict[str, object] = {added.op: "U", added.timestamp: f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"}
    fields: list[pa.Field[Any]] = [pa.field(added.op, pa.string()), pa.field(added.timestamp, pa.string())]
    for column in metadata.columns:
        fields.append(pa.field(column.name, column.type.arrow))
        if column.type.kind is Kind.STRING:
            canary = f"{MARK}-f{len(canaries):02d}"
            canaries.append(canary)
            row[column.name] = canary * 100
    for name, value in ((added.seq, "2026010100000000" + "0" * 18 + "1"), (added.position, "p1")):
        if name is not None:
            fields.append(pa.field(name, pa.string()))
            row[name] = value
    folder = system.stack.environment.landing_dir / system.spec.folder / metadata.name.schema / metadata.name.table
    pq.write_table(
        pa.Table.from_pylist([row], pa.schema(fields)), folder / cdc_file_name(datetime.now(UTC)), store_schema=False
    )
    return canaries


@contextlib.contextmanager
def _everything_logged(path: Path) -> Iterator[None]:
    """What any part says at the level of a stack, in one file: sensors and runs are in this process here.

    Not at DEBUG, at which botocore prints its requests, passwords and all.
    """
    root = logging.getLogger()
    handler, level = logging.FileHandler(path), root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def _arrived(system: System, canaries: list[str]) -> int:
    """How many of them are in curated, where they belong."""
    found: set[str] = set()
    with open_published(system.stack.environment.published_file) as connection:
        for name in system.spec.table_names:
            relation = f"{system.spec.name}_{name.schema}_curated.{name.table}"
            text = str(connection.execute(f"select * from {relation} t where t::varchar like '%{MARK}%'").fetchall())
            found |= {canary for canary in canaries if canary in text}
    return len(found)


def _outside(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every file that is no row data: databases, logs, state, reports, dbt's artifacts."""
    for path in home.rglob("*"):
        parts = path.relative_to(home).parts
        copied = parts[0] == "quarantine" and path.name == "file"
        # Local DMS keeps the passwords of its endpoints, as DMS does; in a folder that only its user can open.
        endpoints = parts[0] == "local-dms" and path.name.startswith("state.db")
        if path.is_file() and parts[0] not in ROW_DATA and not copied and not endpoints:
            yield str(path.relative_to(home)), path.read_bytes()


def _shown(system: System, ui: str) -> Iterator[tuple[str, bytes]]:
    """Pages and what commands print."""
    entries = Quarantine(system.installation.quarantine, system.spec.name).entries()
    source = system.spec.name
    pages = ["/platform", f"/platform/quarantine/{source}"]
    pages += [f"/platform/quarantine/{source}/{entry.entry_id}" for entry in entries]
    for page in pages:
        with urllib.request.urlopen(ui + page) as answer:
            yield page, answer.read()
    commands = [["status", "--json"], ["alerts"], ["quarantine", "list"]]
    commands += [["quarantine", "show", entry.entry_id] for entry in entries]
    for command in commands:
        result = CliRunner().invoke(cli, command)
        yield " ".join(command), result.output.encode()


def measure(budget: Budget) -> Outcome:
    """A platform with web servers; canaries in rows, in a file that is rejected, and the source's password."""
    home = budget.folder / "home"
    with _everything_logged(budget.folder / "process.log"), ui_platform(home) as platform:
        system = platform.system
        canaries = _plant_values(system)
        system.flush()
        system.drive.settle(system.spec.name, 3)
        arrived = _arrived(system, canaries)
        metadata = system.installation.known_metadata(system.spec)[TableName("probation", "practitioner")]
        rejected = _plant_file(system, metadata)
        system.drive.settle(system.spec.name, 2)
        system.drive.tick("alerts")
        in_quarantine = sum(
            MARK.encode() in path.read_bytes() for path in (home / "quarantine").rglob("file") if path.is_file()
        )
        secrets = [json.loads(path.read_text())["password"] for path in (home / "secrets").glob("*.json")]
        wanted = [text.encode() for text in (MARK, *secrets)]
        shown = list(_shown(system, platform.ui))
        logged = (budget.folder / "process.log").read_bytes()
        looked = [*_outside(home), *shown, ("process.log", logged)]
    leaks = sorted({name for name, body in looked for text in wanted if text in body})
    return Outcome(
        f"{len(leaks)} of {len(looked)} files, pages and outputs hold one of {len(canaries) + len(rejected)} canaries"
        f" or {len(secrets)} passwords" + (f": {', '.join(leaks[:5])}" if leaks else ""),
        holds=not leaks and len(canaries) + len(rejected) >= 12,
        observed={
            "canaries in curated": arrived,
            "rejected files with canaries": in_quarantine,
            "passwords": len(secrets),
            "pages and outputs": len(shown),
            "files": len(looked) - len(shown),
            "lines that parts logged": logged.count(b"\n"),
        },
    )


ROW = Row("R21", "Canaries in logs, event store, state, reports, pages, outputs", "0 hits", 240, None, measure)
