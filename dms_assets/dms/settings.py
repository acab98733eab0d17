"""Task and endpoint settings: the values that keep rows, in one place for the deployed task and the local one.

DMS: dms.md 4.10 (task settings), 1.5 to 1.7 (S3 endpoint), 2.2 and 2.6 (PostgreSQL endpoint, LOBs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dms_assets.model.source_spec import SourceSpec

if TYPE_CHECKING:
    from mypy_boto3_dms.type_defs import PostgreSQLSettingsTypeDef, S3SettingsTypeDef


def task_settings(spec: SourceSpec) -> dict[str, Any]:
    """The settings document of a source's task; what is not named keeps DMS's default."""
    return {
        "TargetMetadata": {
            "SupportLobs": True,
            "FullLobMode": False,
            "LimitedSizeLobMode": True,
            "LobMaxSize": spec.dms.lob_max_kb,
            # Loses data on an S3 target (dms.md 6, row 47).
            "BatchApplyEnabled": False,
        },
        "FullLoadSettings": {
            # Anything else deletes landed files that are not ingested yet.
            "TargetTablePrepMode": "DO_NOTHING",
            "MaxFullLoadSubTasks": 8,
        },
        # A replicated TRUNCATE or DROP would empty the landing folder (dms.md 1.10).
        "ChangeProcessingDdlHandlingPolicy": {
            "HandleSourceTableDropped": False,
            "HandleSourceTableTruncated": False,
            "HandleSourceTableAltered": True,
        },
        "ErrorBehavior": {
            # The defaults only log: the row would be missing without a word.
            "DataErrorPolicy": "STOP_TASK",
            "DataTruncationErrorPolicy": "STOP_TASK",
            "FailOnNoTablesCaptured": True,
            "FailOnTransactionConsistencyBreached": True,
            "TableErrorPolicy": "SUSPEND_TABLE",
        },
        "Logging": {"EnableLogging": True},
    }


def s3_settings(spec: SourceSpec, bucket: str) -> S3SettingsTypeDef:
    """Settings of the S3 target endpoint."""
    return {
        "BucketName": bucket,
        "BucketFolder": spec.folder,
        "DataFormat": "parquet",
        # gzip at any level costs more than the rest of a load; the archive class and zstd in the lake do the saving.
        "CompressionType": "none",
        "ParquetVersion": "parquet-2-0",
        "EncodingType": "rle-dictionary",
        "EnableStatistics": True,
        "TimestampColumnName": spec.dms.timestamp_column,
        "UseTaskStartTimeForFullLoadTimestamp": True,
        "IncludeOpForFullLoad": False,
        "CdcMaxBatchInterval": spec.dms.cdc_max_batch_interval_s,
        "CdcMinFileSize": spec.dms.cdc_min_file_size_kb,
        "DatePartitionEnabled": False,
    }


POSTGRES_EXTRA_ATTRIBUTES = "MapUnboundedNumericAsString=true"
"""Without it DMS rounds a numeric without precision to six places (dms.md 2.2)."""


def postgres_settings() -> PostgreSQLSettingsTypeDef:
    """Settings of the PostgreSQL source endpoint: values arrive as they are, not rounded, cut or trimmed of meaning."""
    return {
        # pglogical, the default where it is installed, refuses REPLICA IDENTITY FULL, which large values need.
        "PluginName": "test-decoding",
        "MapBooleanAsBoolean": True,
        "FailTasksOnLobTruncation": True,
    }
