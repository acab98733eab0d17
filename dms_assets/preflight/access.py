"""Findings about the user that extracts: what it may do, and what row security hides from it."""

from __future__ import annotations

from collections.abc import Iterator

from dms_assets.model.names import quote
from dms_assets.preflight import finding as f
from dms_assets.preflight.facts import Extractor, Relation
from dms_assets.preflight.finding import Finding, Severity
from dms_assets.preflight.subject import Subject, kept_columns, qualified


def access_findings(subject: Subject) -> Iterator[Finding]:
    """All findings about rights."""
    yield from _replication(subject)
    yield from _schema(subject)
    for spec, relation in subject.tables():
        if not relation.selectable and not all(column.readable for column in kept_columns(spec, relation)):
            yield Finding(
                "table_not_readable",
                Severity.ERROR,
                str(relation.name),
                f"{subject.role} may not SELECT it: its load fails",
                (f.sql(f"GRANT SELECT ON {qualified(relation.name)} TO {subject.role};"),),
                f.DMS_POSTGRES,
            )
        if relation.row_security:
            yield _row_security(subject, relation)
    if subject.extractor is Extractor.LOCAL:
        yield from _publication(subject)


def _replication(subject: Subject) -> Iterator[Finding]:
    if subject.facts.role.replication or subject.facts.role.superuser:
        return
    grant = "GRANT rds_replication TO {};" if subject.facts.server.managed else "ALTER ROLE {} REPLICATION;"
    yield Finding(
        "role_without_replication",
        Severity.ERROR,
        subject.facts.role.name,
        "the user may not make a replication slot: no change can be captured",
        (f.sql(grant.format(subject.role)),),
        f.DMS_POSTGRES,
    )


def _schema(subject: Subject) -> Iterator[Finding]:
    schema = subject.spec.database_schema
    if subject.facts.schema_exists and not subject.facts.role.schema_usage:
        yield Finding(
            "schema_not_usable",
            Severity.ERROR,
            schema,
            f"{subject.role} has no USAGE on the schema: none of its tables can be read",
            (f.sql(f"GRANT USAGE ON SCHEMA {quote(schema)} TO {subject.role};"),),
            f.DMS_POSTGRES,
        )


def _row_security(subject: Subject, relation: Relation) -> Finding:
    return Finding(
        "row_security",
        Severity.ERROR,
        str(relation.name),
        f"row security hides rows from {subject.role}: the load would miss them, while their changes are in the log",
        (f.sql(f"ALTER ROLE {subject.role} BYPASSRLS;"),),
        f.ROW_SECURITY,
    )


def _publication(subject: Subject) -> Iterator[Finding]:
    """Local DMS makes a publication: CREATE on the database, and ownership of every table in it."""
    role, server = subject.facts.role, subject.facts.server
    if role.superuser:
        return
    if not role.creates_in_database:
        yield Finding(
            "publication_not_allowed",
            Severity.ERROR,
            server.database,
            f"{subject.role} may not CREATE in the database, which making a publication needs",
            (f.sql(f"GRANT CREATE ON DATABASE {quote(server.database)} TO {subject.role};"),),
            f.CREATE_PUBLICATION,
        )
    for owner in dict.fromkeys(relation.owner for _, relation in subject.tables() if not relation.owned):
        tables = [str(relation.name) for _, relation in subject.tables() if relation.owner == owner]
        yield Finding(
            "tables_not_owned",
            Severity.ERROR,
            owner,
            f"{subject.role} is not a member of {quote(owner)}, the owner of {', '.join(tables)}; only an owner may "
            "put a table into a publication",
            (f.sql(f"GRANT {quote(owner)} TO {subject.role};"),),
            f.CREATE_PUBLICATION,
        )
