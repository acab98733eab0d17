"""Findings about tables: whether they can be extracted, and whether the log can tell their rows apart."""

from __future__ import annotations

from collections.abc import Iterator

from dms_assets.model.names import IDENTIFIER, quote
from dms_assets.model.source_spec import TableSpec
from dms_assets.preflight import finding as f
from dms_assets.preflight.facts import Extractor, Relation, RelationKind
from dms_assets.preflight.finding import Finding, Severity
from dms_assets.preflight.subject import Subject, identity_statement, kept_columns, qualified, yaml_text

_KINDS = {
    RelationKind.FOREIGN: "a foreign table",
    RelationKind.VIEW: "a view",
    RelationKind.MATERIALIZED_VIEW: "a materialized view",
}
_FULL = "f"


def table_findings(subject: Subject) -> Iterator[Finding]:
    """All findings about tables."""
    yield from _missing(subject)
    yield from _undeclared(subject)
    for _, relation in subject.declared():
        yield from _not_extractable(relation)
    for spec, relation in subject.tables():
        yield from _storage(subject, relation)
        yield from _key(subject, spec, relation)
        yield from _identity(relation)
        yield from _truncate(subject, relation)


def _missing(subject: Subject) -> Iterator[Finding]:
    schema = subject.spec.database_schema
    folded = {name.lower(): name for name in subject.facts.relations}
    for table in subject.spec.tables:
        if table.name in subject.facts.relations:
            continue
        remove = f.defs(f"tables: # without this entry\n  - name: {yaml_text(table.name)}")
        other = folded.get(table.name)
        rename = f"ALTER TABLE {quote(schema)}.{quote(other or '')} RENAME TO {quote(table.name)};"
        yield Finding(
            "table_missing",
            Severity.ERROR,
            f"{schema}.{table.name}",
            f"the schema has no such table, but '{other}': names in the lake are lower case"
            if other
            else "declared, and not in the source" + ("" if subject.facts.schema_exists else f": no schema '{schema}'"),
            (f.sql(rename), remove) if other else (remove,),
            f.OURS,
        )


def _undeclared(subject: Subject) -> Iterator[Finding]:
    declared = {table.name for table in subject.spec.tables}
    names = [
        name
        for name, relation in subject.facts.relations.items()
        if relation.is_table and not relation.partition_of and name not in declared
    ]
    taken = {f"{table}{suffix}" for table in declared for suffix in subject.given.suffixes}
    fitting = [name for name in names if IDENTIFIER.fullmatch(name) and name not in taken]
    if names:
        yield Finding(
            "tables_undeclared",
            Severity.NOTE,
            subject.spec.database_schema,
            f"{len(names)} tables of the schema are not extracted: {', '.join(names)}",
            (f.defs("\n".join(["tables:", *(f"  - name: {yaml_text(name)}" for name in fitting)])),) if fitting else (),
            f.OURS,
        )


def _not_extractable(relation: Relation) -> Iterator[Finding]:
    remove = f.defs(f"tables: # without this entry\n  - name: {yaml_text(relation.name.table)}")
    if not relation.is_table:
        yield Finding(
            "not_a_table",
            Severity.ERROR,
            str(relation.name),
            f"it is {_KINDS[RelationKind(relation.kind)]}: the log tells nothing of its rows; declare the "
            "tables behind it",
            (remove,),
            f.LOGICAL_LIMITS,
        )
    if relation.partition_of:
        yield Finding(
            "table_is_partition",
            Severity.ERROR,
            str(relation.name),
            f"it is a partition of {relation.partition_of}: changes are told of the whole table; declare that instead",
            (remove,),
            f.DMS_POSTGRES,
        )


def _storage(subject: Subject, relation: Relation) -> Iterator[Finding]:
    if relation.unlogged:
        yield Finding(
            "table_unlogged",
            Severity.ERROR,
            str(relation.name),
            "the table is unlogged: its changes are in no log, and a crash of the source empties it",
            (f.sql(f"ALTER TABLE {qualified(relation.name)} SET LOGGED;"),),
            f.LOGICAL_LIMITS,
        )
    if relation.children:
        yield Finding(
            "rows_of_children",
            Severity.ERROR,
            str(relation.name),
            f"{', '.join(relation.children)} inherit from it: a load reads their rows as its own, their changes come "
            "under another name",
            (f.sql("\n".join(f"ALTER TABLE {c} NO INHERIT {qualified(relation.name)};" for c in relation.children)),),
            f.INHERITANCE,
        )
    if relation.kind == RelationKind.PARTITIONED:
        reload = f.command(f'dms-assets reload {relation.name.table} --reason "partition removed" # each time one is')
        yield Finding(
            "partitions",
            Severity.WARNING if subject.extractor is Extractor.AWS else Severity.NOTE,
            str(relation.name),
            "the table is partitioned: dropping, detaching or truncating a partition removes rows without a change in "
            "the log; reconciliation finds it"
            + (", and AWS DMS reads changes by partition" if subject.extractor is Extractor.AWS else ""),
            (reload,),
            f.DMS_POSTGRES,
        )


def _key(subject: Subject, spec: TableSpec, relation: Relation) -> Iterator[Finding]:
    columns = {column.name: column for column in relation.columns}
    if relation.key is None:
        yield _no_key(relation)
        if subject.extractor is Extractor.AWS:
            yield from _arrays_without_key(spec, relation)
        return
    table, listed = qualified(relation.name), ", ".join(map(quote, relation.key.columns))
    constraint = quote(relation.key.constraint)
    if relation.key.deferrable:
        anew = f"ADD CONSTRAINT {constraint} PRIMARY KEY ({listed})"
        yield Finding(
            "key_deferrable",
            Severity.ERROR,
            str(relation.name),
            "the primary key is deferrable: the log cannot name rows by it, and keys that swap inside a transaction "
            "have no order",
            (f.sql(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}, {anew};"),),
            f.LOGICAL_IDENTITY,
        )
    for name in relation.key.columns:
        if columns[name].generated:
            yield Finding(
                "key_generated",
                Severity.ERROR,
                f"{relation.name}.{name}",
                "a key column is generated: changes do not carry it, so rows cannot be told apart",
                (f.sql(f"ALTER TABLE {table} ALTER COLUMN {quote(name)} DROP EXPRESSION;"),),
                f.LOGICAL_LIMITS,
            )
        elif subject.extractor is Extractor.AWS and columns[name].source.is_lob:
            yield Finding(
                "key_is_lob",
                Severity.ERROR,
                f"{relation.name}.{name}",
                f"AWS DMS moves {columns[name].source_type} as a LOB, and captures no changes of a table with a LOB in "
                "its key",
                (f.sql(f"ALTER TABLE {table} ALTER COLUMN {quote(name)} TYPE varchar(255);"),),
                f.DMS_ASSESSMENT,
            )


def _no_key(relation: Relation) -> Finding:
    columns = relation.unique_columns
    add = f.sql(f"ALTER TABLE {qualified(relation.name)} ADD PRIMARY KEY ({', '.join(map(quote, columns))});")
    invent = f.sql(
        f"ALTER TABLE {qualified(relation.name)} ADD COLUMN row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;"
    )
    return Finding(
        "table_without_key",
        Severity.NOTE,
        str(relation.name),
        "no primary key: its history is a log, at least once, without versions"
        + (f"; ({', '.join(columns)}) is unique and could be the key" if columns else ""),
        (add,) if columns else (invent,),
        f.DMS_POSTGRES,
    )


def _arrays_without_key(spec: TableSpec, relation: Relation) -> Iterator[Finding]:
    arrays = [c.name for c in kept_columns(spec, relation) if c.source.type.category == "A"]
    if arrays:
        yield Finding(
            "array_without_key",
            Severity.ERROR,
            str(relation.name),
            f"AWS DMS suspends a table with arrays ({', '.join(arrays)}) and without a primary key",
            _no_key(relation).fixes,
            f.DMS_ASSESSMENT,
        )


def _identity(relation: Relation) -> Iterator[Finding]:
    """Whether the log says which row an update or delete touched."""
    key = relation.key.columns if relation.key else ()
    named = bool(relation.identity_columns) and set(key) <= set(relation.identity_columns)
    if relation.identity == _FULL or named or (relation.key and relation.key.deferrable):
        return
    full = f.sql(identity_statement(relation, "FULL"))
    fixes = (f.sql(identity_statement(relation, "DEFAULT")), full) if key else (full,)
    seen = f"; the source counts {relation.changed_rows:,} updates and deletes so far" if relation.changed_rows else ""
    cause = {
        "n": "REPLICA IDENTITY NOTHING",
        "i": "its replica identity is an index that does not hold the key, or is gone",
    }.get(relation.identity, "no key")
    yield Finding(
        "updates_not_captured",
        Severity.ERROR if key or relation.changed_rows else Severity.WARNING,
        str(relation.name),
        f"{cause}: the log cannot name a row, so only inserts are captured, updates and deletes are lost{seen}",
        fixes,
        f.DMS_POSTGRES,
    )


def _truncate(subject: Subject, relation: Relation) -> Iterator[Finding]:
    if not relation.truncators:
        return
    roles = ", ".join(relation.truncators)
    yield Finding(
        "truncate_granted",
        Severity.NOTE,
        str(relation.name),
        f"{roles} may TRUNCATE it, which no change tells of: rows stay in the lake until a reload (reconciliation "
        f"finds it). After one: dms-assets reload {relation.name.table} --reason TRUNCATE (source {subject.spec.name})",
        (f.sql(f"REVOKE TRUNCATE ON {qualified(relation.name)} FROM {roles};"),),
        f.DMS_POSTGRES,
    )
