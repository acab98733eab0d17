"""One asset check per group of validation rules: what it demands, and what a run found in its files."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dms_assets.lake.quarantine import entry_id
from dms_assets.lake.quarantine_causes import remedy_of
from dms_assets.pipeline.checks.quarantine_links import report_links
from dms_assets.validation.batch_check import BatchCheck, FailedFile
from dms_assets.validation.outcome import REASONS, Group

_MAX_RECORDS = 50
_ABOUT = {
    Group.READABLE: (
        "Every file is whole Parquet: every page of it was read, within limits on memory and time, and its rows are as "
        "many as its footer says."
    ),
    Group.SCHEMA: (
        "Columns are those of the metadata, each with its exact type: width and sign, precision and scale, unit and "
        "zone. Nothing is widened, and no column is more or less."
    ),
    Group.OP: "Every change says what it is: I, U or D (in a full load I, or nothing).",
    Group.SEQUENCE: (
        "Every change has its time and place: commit time, sequence and position are there and well-formed, and no "
        "commit is later than its file."
    ),
    Group.ORDER: (
        "The sequence rises from row to row of a file, where the source promises it (`ordered_files`). Elsewhere rows "
        "out of order are counted: the change log is ordered by the sequence anyway."
    ),
    Group.KEY: "No column of the key is null, in deletes either.",
    Group.NULLABILITY: (
        "Columns that the source does not allow to be null are not. Deletes are judged by their key only: a source may "
        "log nothing else of them."
    ),
    Group.LENGTH: "No text or binary value is longer than its column in the source.",
    Group.PRECISION: "No number has more digits than the precision and scale of its column.",
    Group.DOMAIN: "Every value is one that the source allows in its column (enumerated types).",
    Group.DECLARED: "Every value passes the checks declared in defs.yaml.",
    Group.UNIQUE: "No key is twice in a full load.",
}


def rule_check_specs(asset: dg.AssetKey) -> Iterator[dg.AssetCheckSpec]:
    """The checks of one validated asset, which a run of the asset itself evaluates."""
    for group, about in _ABOUT.items():
        yield dg.AssetCheckSpec(
            group.value,
            asset=asset,
            description=f"{about}\n\nJudged on every row of every file, before it is taken in. A file that fails "
            "goes to quarantine as it is, so that what it holds never enters the table.",
        )


def rule_check_keys(asset: dg.AssetKey) -> list[dg.AssetCheckKey]:
    """The keys of `rule_check_specs`."""
    return [dg.AssetCheckKey(asset, group.value) for group in Group]


def rule_check_result(source: str, asset: dg.AssetKey, group: Group, found: BatchCheck | None) -> dg.AssetCheckResult:
    """What a run found. Rejected rows never enter the table, so a failed rule warns about files and blocks nothing."""
    if found is None:
        return dg.AssetCheckResult(
            asset_key=asset,
            check_name=group.value,
            passed=True,
            metadata={"found": "no file to judge by this rule in this run"},
        )
    metadata: dict[str, Any] = {
        "expected": found.expected,
        "found": found.found,
        "failing": found.failing,
        "files judged": found.files,
    }
    if found.failed:
        metadata |= {
            "remedy": remedy_of(REASONS[group]),
            "failures": dg.MetadataValue.table(_records(found.failed)),
            **report_links(source, {entry_id(file.identity) for file in found.failed}),
        }
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=group.value,
        passed=found.passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def _records(files: tuple[FailedFile, ...]) -> list[dg.TableRecord]:
    """One line per file and rule. Ordinals, counts and hashes only: no value of a row gets into an event."""
    records = []
    for file in files:
        for rule in file.outcome.failures:
            fields: dict[str, str | int | float | bool] = {
                "report": entry_id(file.identity),
                "file": file.identity.key,
                "column": rule.column,
                "expected": rule.expected,
                "failing": rule.failing,
                "rows (from 0)": ", ".join(map(str, rule.rows)),
                "key hashes": ", ".join(rule.key_hashes),
            }
            records.append(dg.TableRecord(fields))
    return records[:_MAX_RECORDS]
