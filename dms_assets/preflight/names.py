"""Findings about names: those that differ only in case or form, and those the platform or DMS gives itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dms_assets.model.change_columns import PLATFORM_FIELDS
from dms_assets.model.names import INSIDE, SCHEMA_NAME, TableName, folded, quote
from dms_assets.model.source_spec import TableSpec
from dms_assets.preflight import finding as f
from dms_assets.preflight.facts import Relation
from dms_assets.preflight.finding import Finding, Severity
from dms_assets.preflight.subject import Subject, exclusion, kept_columns, qualified, yaml_text

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST = 63


def name_findings(subject: Subject) -> Iterator[Finding]:
    """All findings about names."""
    yield from _schema(subject)
    yield from _relations(subject)
    yield from _similar_tables(subject)
    taken = _taken(subject)
    for spec, relation in subject.tables():
        yield from _columns(spec, relation, taken)


def _schema(subject: Subject) -> Iterator[Finding]:
    schema = subject.spec.database_schema
    if not SCHEMA_NAME.fullmatch(schema):
        yield Finding(
            "schema_name",
            Severity.ERROR,
            schema,
            "schemas of the warehouse and folders in landing take its name, which may have letters, digits and "
            "underscores only",
            (f.sql(f"ALTER SCHEMA {quote(schema)} RENAME TO {quote(re.sub('[^a-z0-9_]+', '_', folded(schema)))};"),),
            f.ATHENA_NAMES,
        )


def _relations(subject: Subject) -> Iterator[Finding]:
    declared = {table.name for table in subject.spec.tables}
    for table in subject.spec.tables:
        for suffix in subject.given.suffixes:
            other = f"{table.name}{suffix}"
            if other in declared:
                declared.remove(other)
                name = TableName(subject.spec.database_schema, other)
                yield Finding(
                    "relation_taken",
                    Severity.ERROR,
                    str(name),
                    f"the platform makes a relation '{other}' for table {table.name}; rename this one, and "
                    "declare it so",
                    (
                        f.defs(f"tables: # without this entry\n  - name: {yaml_text(other)}"),
                        f.sql(
                            f"-- then declare it as {other}_table\n"
                            f"ALTER TABLE {qualified(name)} RENAME TO {quote(f'{other}_table')};"
                        ),
                    ),
                    f.OURS,
                )


def _similar_tables(subject: Subject) -> Iterator[Finding]:
    declared = {table.name for table in subject.spec.tables} & set(subject.facts.relations)
    for name in subject.facts.relations:
        same = folded(name)
        if name not in declared and same in declared:
            yield Finding(
                "table_names_similar",
                Severity.WARNING,
                f"{subject.spec.database_schema}.{name}",
                f"differs from the declared table {same} only in case: DMS does not tell such tables apart reliably",
                (
                    f.sql(
                        f"ALTER TABLE {qualified(TableName(subject.spec.database_schema, name))} "
                        f"RENAME TO {quote(f'{same}_other')};"
                    ),
                ),
                f.DMS_ASSESSMENT,
            )


def _taken(subject: Subject) -> dict[str, str]:
    """Names a column cannot have -> why."""
    dms = subject.spec.dms
    added = [name for name in ("Op", dms.timestamp_column, dms.seq_column, dms.position_column) if name]
    taken = dict.fromkeys((folded(name) for name in added), "DMS adds a column of that name to every file")
    taken |= dict.fromkeys((field.name for field in PLATFORM_FIELDS), "the change log has a column of that name")
    return taken | dict.fromkeys((folded(n) for n in subject.given.columns), "curated adds a column of that name")


def _columns(spec: TableSpec, relation: Relation, taken: Mapping[str, str]) -> Iterator[Finding]:
    table, seen, key = qualified(relation.name), dict[str, str](), relation.key.columns if relation.key else ()
    names = {folded(column.name) for column in relation.columns} | set(taken)
    for column in kept_columns(spec, relation):
        name, thing = column.name, f"{relation.name}.{column.name}"
        same = folded(name)
        reason = taken.get(same)
        if same.startswith(INSIDE):
            reason = f"names that begin with {INSIDE} are those of curated's own SQL"
        if same in seen:
            reason = f"the name differs from '{seen[same]}' only in case or form, which Athena and DuckDB cannot tell"
        if reason:
            free = next(new for n in range(2, len(names) + 3) if (new := _numbered(same, n)) not in names)
            names.add(free)
            leave_out = f.defs(exclusion(spec.name, {name: "its name is taken"}))
            rename = f.sql(f"ALTER TABLE {table} RENAME COLUMN {quote(name)} TO {quote(free)};")
            yield Finding(
                "column_names_collide" if same in seen else "column_name_taken",
                Severity.ERROR,
                thing,
                reason,
                (rename,) if name in key else (rename, leave_out),
                f.ATHENA_NAMES if same in seen else f.OURS,
            )
        elif not _PLAIN.fullmatch(name):
            plain = re.sub(r"\W+", "_", same, flags=re.ASCII).strip("_") or "column"
            yield Finding(
                "column_name_unusual",
                Severity.NOTE,
                thing,
                "the name has characters other than letters, digits and underscores: every query must quote it, and "
                "Athena's DDL refuses some",
                (f.sql(f"ALTER TABLE {table} RENAME COLUMN {quote(name)} TO {quote(plain)};"),),
                f.ATHENA_NAMES,
            )
        seen.setdefault(same, name)


def _numbered(name: str, number: int) -> str:
    # Bytes, not characters: PostgreSQL cuts off what is more.
    short = name.encode()[: _LONGEST - 4].decode(errors="ignore")
    return f"{short.lstrip('_')}_{number}"
