"""From a schema in PostgreSQL to metadata, by way of the preflight: what it refuses is fixed as it says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import psycopg
import yaml
from pydantic import ValidationError

from dms_assets.commands.source_check import given_names
from dms_assets.curation.generate import ModelNameError, planned_files
from dms_assets.dms.table_mappings import generate_mappings, parse_mappings
from dms_assets.metadata.reflect_postgres import apply_exclusions, reflect
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.preflight.check import check_source
from dms_assets.preflight.facts import Extractor
from dms_assets.preflight.finding import Finding, FixKind
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.identifiers import oracle
from tests.identifiers.schemas import ROWS, Schema, columns_by_place, value

_REFUSING = {"schema_name", "relation_taken", "column_names_collide", "column_name_taken"}


class WrongError(AssertionError):
    """The system did another thing with a name than it should."""


@dataclass
class Declaration:
    """What a `defs.yaml` says of a schema; fixes change it."""

    schema: Schema
    tables: dict[str, dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.tables = {table.name: {} for table in self.schema.declared}

    def spec(self) -> SourceSpec:
        return SourceSpec.model_validate(
            {
                "name": self.schema.source,
                "engine": "postgres",
                "connection": {"secret": "some/dms"},
                "schema": self.schema.name,
                "tables": [{"name": name, **rest} for name, rest in self.tables.items()],
                "dms": {"unique_positions": True},
            }
        )

    def merge(self, text: str) -> None:
        """A part of a `defs.yaml` that a finding proposes."""
        for entry in yaml.safe_load(text)["tables"]:
            name = entry.pop("name")
            if "# without this entry" in text:
                del self.tables[name]
            else:
                known = self.tables[name].setdefault("exclude_columns", [])
                known += entry["exclude_columns"]


@dataclass(frozen=True)
class Declared:
    """A schema that everything accepted: `rows` of each table are what curated must show, in its columns' order."""

    spec: SourceSpec
    tables: tuple[TableMetadata, ...]
    rows: dict[str, list[tuple[str, ...]]]
    refused: dict[str, int]


def undeclarable(schema: Schema) -> int:
    """How many tables beside the declared ones no declaration can ask for. Raises WrongError for one it wrongly can."""
    refused = [name for name in schema.strangers if not _declarable(name)]
    expected = [name for name in schema.strangers if oracle.table_is_refused(name)]
    if refused != expected:
        raise WrongError(f"{schema.number}: tables {refused} were refused, expected {expected}")
    return len(refused)


def _declarable(name: str) -> bool:
    source = {"name": "s", "engine": "postgres", "connection": {"secret": "x"}, "schema": "app", "tables": [name]}
    try:
        SourceSpec.model_validate(source)
    except ValidationError:
        return False
    return True


def declare(server: EmbeddedPostgres, admin: psycopg.Connection[Any], schema: Schema) -> Declared | None:
    """The schema as it goes on, None if its name is refused. Raises WrongError."""
    declaration, refused = Declaration(schema), {"tables refused": undeclarable(schema)}
    findings = _findings(server, declaration)
    if any(one.code == "schema_name" for one in findings) != oracle.schema_is_refused(schema.name):
        raise WrongError(f"{schema.number}: schema {schema.name!r} was judged wrongly")
    if oracle.schema_is_refused(schema.name):
        _refused_by_models(admin, declaration)
        return None
    found = {one.thing for one in findings if one.code == "relation_taken"}
    expected = {f"{schema.name}.{name}" for name in oracle.refused_relations(schema)}
    if found != expected:
        raise WrongError(f"{schema.number}: relations {found}, expected {expected}")
    _expect_columns(schema, findings)
    wrong = [one for one in findings if one.code in _REFUSING]
    if bad_for_models(schema) != _refused_by_models(admin, declaration):
        raise WrongError(f"{schema.number}: generated models refuse other names than they should")
    refused |= {code: sum(one.code == code for one in wrong) for code in sorted(_REFUSING - {"schema_name"})}
    for finding in wrong:
        _apply(admin, declaration, finding)
    if left := [one for one in _findings(server, declaration) if one.code in _REFUSING]:
        raise WrongError(f"{schema.number}: still {[(one.code, one.thing) for one in left]}")
    spec = declaration.spec()
    tables = _metadata(admin, spec)
    _check_mappings(spec, tables)
    return Declared(spec, tables, {table.name.table: _rows(admin, table) for table in tables}, refused)


def bad_for_models(schema: Schema) -> bool:
    """Whether models cannot be made of the schema as it is. Landing's own columns are no matter of theirs."""
    landing = {oracle.form(name) for name in oracle.LANDING}
    columns = any(
        code == "column_names_collide" or oracle.form(name) not in landing
        for table in schema.declared
        for name, code in oracle.refused_columns(table.columns).items()
    )
    return columns or bool(oracle.refused_relations(schema))


def _findings(server: EmbeddedPostgres, declaration: Declaration) -> list[Finding]:
    info = server.connection_info
    credentials = {"host": info.host, "port": info.port, "dbname": info.dbname}
    credentials |= {"username": info.username, "password": info.password}
    result = check_source(
        declaration.spec(), credentials, extractor=Extractor.LOCAL, given=given_names(), own_slots=frozenset()
    )
    return list(result.findings)


def _expect_columns(schema: Schema, findings: list[Finding]) -> None:
    found = sorted(
        (one.code, one.thing) for one in findings if one.code.startswith("column_name") and one.code in _REFUSING
    )
    expected = sorted(
        (code, f"{schema.name}.{table.name}.{column}")
        for table in schema.declared
        for column, code in oracle.refused_columns(table.columns).items()
    )
    if found != expected:
        raise WrongError(f"{schema.number}: columns refused {found}, expected {expected}")


def _apply(admin: psycopg.Connection[Any], declaration: Declaration, finding: Finding) -> None:
    """One of the fixes: a column is left out where it can be, or renamed; some column must be left."""
    rename, *leave_out = finding.fixes
    keyed = all(table.keys for table in declaration.schema.declared)
    fix = leave_out[0] if leave_out and keyed and finding.code != "relation_taken" else rename
    if fix.kind is FixKind.DEFS:
        declaration.merge(fix.text)
    else:
        admin.execute(fix.text.encode())


def _metadata(admin: psycopg.Connection[Any], spec: SourceSpec) -> tuple[TableMetadata, ...]:
    found = reflect(admin, spec.database_schema, [table.name for table in spec.tables]).tables
    return tuple(apply_exclusions(metadata, spec) for metadata in found.values())


def _refused_by_models(admin: psycopg.Connection[Any], declaration: Declaration) -> bool:
    spec = declaration.spec()
    try:
        planned_files(spec, _metadata(admin, spec))
    except ModelNameError:
        return True
    return False


def _check_mappings(spec: SourceSpec, tables: tuple[TableMetadata, ...]) -> None:
    """The rules that DMS gets move exactly the columns that are kept, under their own names."""
    mappings = parse_mappings(json.dumps(generate_mappings(spec, {})))
    for table in tables:
        every = [*(column.name for column in table.columns), *table.excluded]
        target = mappings.apply(table.name, every)
        kept = [(column.name, column.name) for column in table.columns]
        named = (target.schema, target.table) == (table.name.schema, table.name.table)
        if list(target.columns) != kept or not mappings.selects(table.name) or not named:
            raise WrongError(f"{table.name}: DMS would move {target.columns}, not {kept}")
        if mappings.selects(TableName(table.name.schema, f"{table.name.table}x")):
            raise WrongError(f"{table.name}: DMS would move other tables too")


def _rows(admin: psycopg.Connection[Any], table: TableMetadata) -> list[tuple[str, ...]]:
    """What the columns hold: their values say which column of the first declaration they are."""
    places = {name: place for place, name in columns_by_place(admin, table.name.schema, table.name.table).items()}
    return [tuple(value(places[column.name], row) for column in table.columns) for row in range(ROWS)]
