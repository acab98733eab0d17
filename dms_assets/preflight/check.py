"""The preflight: read the facts once, judge them by topic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import psycopg

from dms_assets.model.source_spec import SourceSpec
from dms_assets.preflight.access import access_findings
from dms_assets.preflight.catalogue import read_facts
from dms_assets.preflight.columns import column_findings
from dms_assets.preflight.facts import Extractor, Facts, Relation
from dms_assets.preflight.finding import Finding, Severity
from dms_assets.preflight.measure import measure
from dms_assets.preflight.names import name_findings
from dms_assets.preflight.server import server_findings
from dms_assets.preflight.session import open_session
from dms_assets.preflight.slots import slot_findings
from dms_assets.preflight.subject import GivenNames, Subject, kept_columns
from dms_assets.preflight.tables import table_findings

_TOPICS: tuple[Callable[[Subject], Iterable[Finding]], ...] = (
    *(server_findings, slot_findings, access_findings),
    *(table_findings, name_findings, column_findings),
)
_ORDER = {severity: place for place, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Result:
    """What a preflight of one source found, worst first. `where` has no password in it."""

    source: str
    where: str
    user: str
    server_version: int
    extractor: Extractor
    tables: int
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many findings are of a severity."""
        return sum(finding.severity is severity for finding in self.findings)

    def only(self, severity: Severity) -> Result:
        """The same with the findings of one severity."""
        return replace(self, findings=tuple(one for one in self.findings if one.severity is severity))

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "source": self.source,
            "where": self.where,
            "user": self.user,
            "server_version": self.server_version,
            "extractor": self.extractor.value,
            "tables": self.tables,
            "counts": {severity.value: self.count(severity) for severity in Severity},
            "findings": [finding.to_json() for finding in self.findings],
        }


def judge(subject: Subject) -> tuple[Finding, ...]:
    """All findings, worst first, then by code and thing. Pure."""
    found = [finding for topic in _TOPICS for finding in topic(subject)]
    return tuple(sorted(found, key=lambda one: (_ORDER[one.severity], one.code, one.thing)))


def check_source(
    spec: SourceSpec,
    credentials: Mapping[str, Any],
    *,
    extractor: Extractor,
    given: GivenNames,
    own_slots: frozenset[str] | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Result:
    """Preflight a source through a read-only session of its user.

    See Subject for `given` and `own_slots`; `clock` is this machine's. Raises CannotConnectError,
    EngineNotSupportedError, or psycopg.Error if the catalogue cannot be read.
    """
    with open_session(spec, credentials) as connection:
        facts = read_facts(connection, spec.database_schema, [table.name for table in spec.tables], clock)
        facts = _measured(connection, Subject(spec, facts, extractor, given))
        info = connection.info
        where = f"{info.host}:{info.port}/{info.dbname}"
    subject = Subject(spec, facts, extractor, given, own_slots, credentials.get("sslmode"))
    return Result(
        source=spec.name,
        where=where,
        user=facts.role.name,
        server_version=facts.server.version,
        extractor=extractor,
        tables=len(spec.tables),
        findings=judge(subject),
    )


def _measured(connection: psycopg.Connection[Any], subject: Subject) -> Facts:
    relations = dict(subject.facts.relations)
    for spec, relation in subject.tables():
        columns = kept_columns(spec, relation)
        if all(column.readable for column in columns) and subject.facts.role.schema_usage:
            relations[spec.name] = _with_measures(connection, relation, columns)
    return replace(subject.facts, relations=relations)


def _with_measures(connection: psycopg.Connection[Any], relation: Relation, columns: list[Any]) -> Relation:
    try:
        return replace(relation, measured=measure(connection, relation, columns))
    except psycopg.errors.QueryCanceled:
        return replace(relation, measuring_failed="reading them took longer than ten seconds")
    except psycopg.Error as error:
        if connection.broken:
            raise
        return replace(relation, measuring_failed=" ".join(str(error).split()))
