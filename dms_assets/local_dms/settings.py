"""Task settings: DMS's defaults, merged with what a task gives (dms.md 4.10)."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dms_assets.local_dms.column import SourceOptions
from dms_assets.local_dms.faults import invalid_value

DEFAULTS: dict[str, Any] = {
    "TargetMetadata": {
        "TargetSchema": "",
        "SupportLobs": True,
        "FullLobMode": False,
        "LobChunkSize": 0,
        "LimitedSizeLobMode": True,
        "LobMaxSize": 32,
        "InlineLobMaxSize": 0,
        "ParallelLoadThreads": 0,
        "BatchApplyEnabled": False,
        "TaskRecoveryTableEnabled": False,
    },
    "FullLoadSettings": {
        "TargetTablePrepMode": "DROP_AND_CREATE",
        "CreatePkAfterFullLoad": False,
        "StopTaskCachedChangesApplied": False,
        "StopTaskCachedChangesNotApplied": False,
        "MaxFullLoadSubTasks": 8,
        "TransactionConsistencyTimeout": 600,
        "CommitRate": 10_000,
    },
    "Logging": {"EnableLogging": False, "LogComponents": []},
    "ControlTablesSettings": {"ControlSchema": "", "HistoryTimeslotInMinutes": 5},
    "ChangeProcessingDdlHandlingPolicy": {
        "HandleSourceTableDropped": True,
        "HandleSourceTableTruncated": True,
        "HandleSourceTableAltered": True,
    },
    "ErrorBehavior": {
        "DataErrorPolicy": "LOG_ERROR",
        "DataTruncationErrorPolicy": "LOG_ERROR",
        "DataErrorEscalationPolicy": "SUSPEND_TABLE",
        "TableErrorPolicy": "SUSPEND_TABLE",
        "TableErrorEscalationPolicy": "STOP_TASK",
        "RecoverableErrorCount": -1,
        "RecoverableErrorInterval": 5,
        "RecoverableErrorThrottling": True,
        "RecoverableErrorThrottlingMax": 1800,
        "ApplyErrorDeletePolicy": "IGNORE_RECORD",
        "FailOnNoTablesCaptured": True,
        "FailOnTransactionConsistencyBreached": False,
        "FullLoadIgnoreConflicts": True,
    },
    "ChangeProcessingTuning": {
        "MinTransactionSize": 1000,
        "CommitTimeout": 1,
        "MemoryLimitTotal": 1024,
        "MemoryKeepTime": 60,
        "StatementCacheSize": 50,
    },
    "ValidationSettings": {"EnableValidation": False},
    "BeforeImageSettings": None,
    "LoopbackPreventionSettings": None,
    "LocalDms": {"Strict": False},
}
"""`LocalDms` is ours: `Strict` restores DMS's behaviour where this service deviates from it (key updates)."""

PREP_MODES = ("DO_NOTHING", "TRUNCATE_BEFORE_LOAD", "DROP_AND_CREATE")


def merged(text: str | None) -> dict[str, Any]:
    """The full document that a describe returns. Raises ApiFault for settings that are not JSON or not possible."""
    try:
        given = json.loads(text) if text else {}
    except json.JSONDecodeError as error:
        raise invalid_value(f"ReplicationTaskSettings is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise invalid_value("ReplicationTaskSettings is not a JSON object")
    document = copy.deepcopy(DEFAULTS)
    for section, values in given.items():
        if isinstance(values, Mapping) and isinstance(document.get(section), dict):
            document[section].update(values)
        else:
            document[section] = values
    mode = document["FullLoadSettings"]["TargetTablePrepMode"]
    if mode not in PREP_MODES:
        raise invalid_value(f"TargetTablePrepMode '{mode}' is not one of {', '.join(PREP_MODES)}")
    if document["TargetMetadata"]["BatchApplyEnabled"]:
        raise invalid_value("BatchApplyEnabled is not supported for an S3 target; set it to false")
    return document


class OnError(Enum):
    """What an error policy asks for."""

    GO_ON = "go on"
    SUSPEND = "suspend the table"
    STOP = "stop the task"

    @classmethod
    def of(cls, policy: str) -> OnError:
        """Of DMS's word for it; IGNORE_RECORD and LOG_ERROR go on."""
        return {"SUSPEND_TABLE": cls.SUSPEND, "STOP_TASK": cls.STOP}.get(policy, cls.GO_ON)


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """The settings that the data plane reads. Times in seconds."""

    prep_mode: str
    consistency_timeout_s: float
    on_truncation: OnError
    on_data_error: OnError
    on_table_error: OnError
    fail_on_no_tables: bool
    retries: int
    retry_interval_s: float
    retry_max_s: float
    strict: bool
    lob_limit: int | None

    @classmethod
    def from_document(cls, document: Mapping[str, Any], endpoint: Mapping[str, Any]) -> TaskSettings:
        """Read a merged document, and the source endpoint's settings, where DMS has FailTasksOnLobTruncation."""
        errors, load, target = document["ErrorBehavior"], document["FullLoadSettings"], document["TargetMetadata"]
        return cls(
            prep_mode=load["TargetTablePrepMode"],
            consistency_timeout_s=float(load["TransactionConsistencyTimeout"]),
            on_truncation=OnError.STOP
            if endpoint.get("FailTasksOnLobTruncation", False)
            else OnError.of(errors["DataTruncationErrorPolicy"]),
            on_data_error=OnError.of(errors["DataErrorPolicy"]),
            on_table_error=OnError.of(errors["TableErrorPolicy"]),
            fail_on_no_tables=bool(errors["FailOnNoTablesCaptured"]),
            retries=int(errors["RecoverableErrorCount"]),
            retry_interval_s=float(errors["RecoverableErrorInterval"]),
            retry_max_s=float(errors["RecoverableErrorThrottlingMax"]),
            strict=bool(document["LocalDms"].get("Strict", False)),
            lob_limit=int(target["LobMaxSize"]) * 1024 if target["LimitedSizeLobMode"] else None,
        )


def source_options(settings: TaskSettings, postgres: Mapping[str, Any]) -> SourceOptions:
    """Value options from PostgreSQLSettings (an endpoint's) and the task's settings."""
    return SourceOptions(
        unbounded_numeric_as_string=bool(postgres.get("MapUnboundedNumericAsString", False)),
        boolean_as_boolean=bool(postgres.get("MapBooleanAsBoolean", False)),
        trim_char=bool(postgres.get("TrimSpaceInChar", True)),
        lob_limit=settings.lob_limit,
    )
