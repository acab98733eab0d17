"""A declaration under preflight that tests can change, as its fixes say: SQL runs, `defs.yaml` parts are merged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import yaml

from dms_assets.model.source_spec import SourceSpec
from dms_assets.preflight.check import check_source
from dms_assets.preflight.facts import Extractor
from dms_assets.preflight.finding import Finding, Fix, FixKind
from dms_assets.preflight.subject import GivenNames
from dms_assets.sample.postgres import EmbeddedPostgres

GIVEN = GivenNames(("valid_from", "valid_to", "is_current"), ("_versions", "_history", "__loads"))
Named = tuple[str, str]


@dataclass
class Checked:
    server: EmbeddedPostgres
    role: str
    schema: str
    tables: dict[str, dict[str, Any]]
    dms: dict[str, Any] = field(default_factory=dict)
    extractor: Extractor = Extractor.LOCAL
    own_slots: frozenset[str] | None = frozenset()
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def spec(self) -> SourceSpec:
        return SourceSpec.model_validate(
            {
                "name": "app",
                "engine": "postgres",
                "connection": {"secret": "app/dms"},
                "schema": self.schema,
                "tables": [{"name": name, **rest} for name, rest in self.tables.items()],
                "dms": self.dms,
            }
        )

    def findings(self) -> dict[Named, Finding]:
        info = self.server.connection_info
        credentials = {"host": info.host, "port": info.port, "dbname": info.dbname}
        credentials |= {"username": self.role, "password": f"secret of {self.role}"}
        result = check_source(
            self.spec(),
            credentials,
            extractor=self.extractor,
            given=GIVEN,
            own_slots=self.own_slots,
            clock=self.clock,
        )
        found = {(finding.code, finding.thing): finding for finding in result.findings}
        assert len(found) == len(result.findings), "a finding was told twice"
        return found

    def apply(self, fix: Fix, admin: psycopg.Connection[Any]) -> None:
        if fix.kind is FixKind.DEFS:
            self._merge(fix.text)
            return
        assert fix.kind is FixKind.SQL, f"'{fix.text}' cannot be run by a test"
        lines = [line.partition("-- ")[0] for line in fix.text.splitlines()]
        # One by one: ALTER SYSTEM refuses to be in the implicit transaction of several statements.
        for statement in "\n".join(lines).split(";"):
            if statement.strip():
                admin.execute(statement.encode())
        if "then restart" in fix.text:
            self.server.stop()
            self.server.start()

    def _merge(self, text: str) -> None:
        part: dict[str, Any] = yaml.safe_load(text)
        self.dms |= part.get("dms", {})
        for entry in part.get("tables", []):
            name = entry.pop("name")
            if "# without this entry" in text:
                del self.tables[name]
                continue
            known = self.tables.setdefault(name, {})
            for section, value in entry.items():
                if value is None:
                    self._take_out(known, section, text.rsplit("# without ", 1)[1].strip())
                else:
                    known[section] = [*known.get(section, []), *value]

    @staticmethod
    def _take_out(table: dict[str, Any], section: str, column: str) -> None:
        if section == "classification":
            del table[section][column]
            return
        before = table[section]
        table[section] = [one for one in before if (one if isinstance(one, str) else one["column"]) != column]
        assert len(table[section]) == len(before) - 1
