"""What a preflight says: a finding, how much it matters, and the statement that ends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """Extraction cannot work, or data would be lost or wrong."""
    WARNING = "warning"
    """It works today, and will hurt when something ordinary happens."""
    NOTE = "note"
    """Something to know."""


class FixKind(StrEnum):
    """Where a fix is applied."""

    SQL = "sql"
    """On the source, by somebody who may."""
    DEFS = "defs"
    """In the source's `defs.yaml`, below `attributes`: merged into what is there."""
    COMMAND = "command"
    """In a shell, or by hand where no statement exists."""


@dataclass(frozen=True, slots=True)
class Fix:
    """One way to end a finding: exact text to run or to write."""

    kind: FixKind
    text: str


def sql(text: str) -> Fix:
    """A fix on the source."""
    return Fix(FixKind.SQL, text)


def defs(text: str) -> Fix:
    """A fix in `defs.yaml`."""
    return Fix(FixKind.DEFS, text)


def command(text: str) -> Fix:
    """A fix in a shell or by hand."""
    return Fix(FixKind.COMMAND, text)


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `code` is stable; `thing` is the setting, role, slot, table or `table.column` it is about.

    `fixes` are alternatives, the recommended one first. `rule` is where the rule comes from.
    """

    code: str
    severity: Severity
    thing: str
    reason: str
    fixes: tuple[Fix, ...]
    rule: str

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "thing": self.thing,
            "reason": self.reason,
            "fixes": [{"kind": fix.kind.value, "text": fix.text} for fix in self.fixes],
            "rule": self.rule,
        }


_DMS = "https://docs.aws.amazon.com/dms/latest/userguide/"
_POSTGRES = "https://www.postgresql.org/docs/current/"

DMS_POSTGRES = f"{_DMS}CHAP_Source.PostgreSQL.html"
DMS_ASSESSMENT = f"{_DMS}CHAP_Tasks.AssessmentReport.PG.html"
DMS_S3 = f"{_DMS}CHAP_Target.S3.html"
DMS_LOBS = f"{_DMS}CHAP_Tasks.CustomizingTasks.TaskSettings.TargetMetadata.html"
DMS_RELOAD = f"{_DMS}CHAP_Tasks.ReloadTables.html"
DMS_TLS = f"{_DMS}CHAP_Security.SSL.html"
LOGICAL_CONFIG = f"{_POSTGRES}logical-replication-config.html"
LOGICAL_LIMITS = f"{_POSTGRES}logical-replication-restrictions.html"
LOGICAL_IDENTITY = f"{_POSTGRES}logical-replication-publication.html"
REPLICATION_SETTINGS = f"{_POSTGRES}runtime-config-replication.html"
CLIENT_SETTINGS = f"{_POSTGRES}runtime-config-client.html"
SLOTS_VIEW = f"{_POSTGRES}view-pg-replication-slots.html"
ROW_SECURITY = f"{_POSTGRES}ddl-rowsecurity.html"
INHERITANCE = f"{_POSTGRES}ddl-inherit.html"
CREATE_PUBLICATION = f"{_POSTGRES}sql-createpublication.html"
TOAST = f"{_POSTGRES}storage-toast.html"
PREPARED = f"{_POSTGRES}view-pg-prepared-xacts.html"
ATHENA_NAMES = "https://docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html"
OURS = "the platform's change log and curated relations"
