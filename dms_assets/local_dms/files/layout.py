"""How files are laid out: the endpoint's S3Settings, as far as they change files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dms_assets.local_dms.faults import TaskError

_GZIP_LEVEL = 1


@dataclass(frozen=True, slots=True)
class FileLayout:
    """S3Settings with DMS's defaults (dms.md 1.4 to 1.7). Sizes are in bytes, times in seconds."""

    bucket: str
    folder: str
    timestamp_column: str | None
    op_in_load: bool
    task_start_as_load_time: bool
    max_batch_interval_s: int
    min_file_bytes: int
    max_file_bytes: int
    row_group_rows: int
    dictionary: bool
    writer: Mapping[str, Any]
    """Arguments of pyarrow's ParquetWriter."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> FileLayout:
        """Read S3Settings. Raises TaskError for one that is not supported, naming it."""
        _refuse(settings)
        compression = _spelled(settings, "CompressionType", "none")
        encoding = _spelled(settings, "EncodingType", "rle-dictionary")
        millis = bool(settings.get("ParquetTimestampInMillisecond", False))
        writer = {
            "version": "1.0" if _spelled(settings, "ParquetVersion", "parquet-1-0") == "parquet-1-0" else "2.6",
            "compression": "gzip" if compression == "gzip" else "none",
            "compression_level": _GZIP_LEVEL if compression == "gzip" else None,
            "dictionary_pagesize_limit": int(settings.get("DictPageSizeLimit", 1 << 20)),
            "data_page_size": int(settings.get("DataPageSize", 1 << 20)),
            "write_statistics": bool(settings.get("EnableStatistics", True)),
            "coerce_timestamps": "ms" if millis else "us",
            "allow_truncated_timestamps": True,
            "write_time_adjusted_to_utc": True,
            "store_schema": False,
        }
        return cls(
            bucket=str(settings.get("BucketName", "")),
            folder=str(settings.get("BucketFolder", "")).strip("/"),
            timestamp_column=settings.get("TimestampColumnName") or None,
            op_in_load=bool(settings.get("IncludeOpForFullLoad", False)),
            task_start_as_load_time=bool(settings.get("UseTaskStartTimeForFullLoadTimestamp", False)),
            max_batch_interval_s=int(settings.get("CdcMaxBatchInterval", 60)),
            min_file_bytes=int(settings.get("CdcMinFileSize", 32_000)) * 1024,
            max_file_bytes=int(settings.get("MaxFileSize", 1_048_576)) * 1024,
            row_group_rows=int(settings.get("RowGroupLength", 10_000)),
            dictionary=encoding != "plain",
            writer=writer,
        )


def _spelled(settings: Mapping[str, Any], name: str, default: str) -> str:
    """An enumeration's value: the API spells `parquet-2-0`, the console `PARQUET_2_0`; DMS takes both."""
    return str(settings.get(name, default)).lower().replace("_", "-")


def _refuse(settings: Mapping[str, Any]) -> None:
    if _spelled(settings, "DataFormat", "csv") != "parquet":
        raise TaskError("S3Settings: only DataFormat parquet is supported; set DataFormat to parquet.")
    for name in ("DatePartitionEnabled", "PreserveTransactions", "CdcInsertsOnly", "CdcInsertsAndUpdates"):
        if settings.get(name):
            raise TaskError(f"S3Settings: {name} is not supported; leave it out.")
    if settings.get("CdcPath"):
        raise TaskError("S3Settings: CdcPath is not supported; leave it out.")
