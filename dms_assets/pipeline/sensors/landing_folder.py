"""What is in a source's landing folder beside files of declared tables, told where the UI shows it.

Files of undeclared tables wait in landing: declared again, they are taken in order. Objects that DMS cannot have
written are in quarantine and hold no table. Neither belongs to an asset of a table, so the folder has one of its own.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from dms_assets.installation import Installation
from dms_assets.lake.landing import read_inbox
from dms_assets.lake.quarantine import Entry, EntryState, Quarantine
from dms_assets.model.landed_file import LandedFile
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.keys import group

UNDECLARED_CHECK = "only_declared_tables"
STRANGER_CHECK = "only_keys_of_dms"
_ABOUT = {
    UNDECLARED_CHECK: "Every file in landing is of a table that the source declares.",
    STRANGER_CHECK: "Every object in landing has a key that DMS writes; others are in quarantine.",
}
_LISTED = 10


@dataclass(frozen=True, slots=True)
class FolderVerdict:
    """What one check says. `digest` changes when there is something new to tell."""

    check: str
    passed: bool
    found: str
    remedy: str
    digest: str

    @property
    def metadata(self) -> dict[str, str]:
        """For the check's result."""
        return {"found": self.found} if self.passed else {"found": self.found, "remedy": self.remedy}


def folder_key(source: str) -> dg.AssetKey:
    """`[source, landing, other_files]`."""
    return dg.AssetKey([source, Layer.LANDING.value, "other_files"])


def build_folder_spec(spec: SourceSpec, landing_uri: str) -> dg.AssetSpec:
    """The asset that stands for the rest of the folder; nothing materialises it."""
    return dg.AssetSpec(
        folder_key(spec.name),
        group_name=group(spec.name, Layer.LANDING),
        kinds={"dms", "s3"},
        owners=[spec.owner],
        description=f"What is in the landing folder of {spec.name} beside files of declared tables; best: nothing.",
        metadata={"dagster/uri": f"{landing_uri}/{spec.folder}/"},
    )


def judge_folder(
    spec: SourceSpec, undeclared: Mapping[TableName, Sequence[LandedFile]], entries: Collection[Entry]
) -> list[FolderVerdict]:
    """Both checks. `undeclared` as the inbox has it, `entries` is all that is in the source's quarantine."""
    return [_judge_undeclared(spec, undeclared), _judge_strangers(spec, entries)]


def _judge_undeclared(spec: SourceSpec, undeclared: Mapping[TableName, Sequence[LandedFile]]) -> FolderVerdict:
    names = sorted(undeclared)
    told = [f"{name}: {len(undeclared[name])} files" for name in names[:_LISTED]]
    if len(names) > _LISTED:
        told.append(f"and {len(names) - _LISTED} tables more")
    return FolderVerdict(
        UNDECLARED_CHECK,
        passed=not names,
        found="; ".join(told) or "no file of another table",
        remedy=(
            f"they wait in landing: declare the tables in the defs.yaml of {spec.name}, and they are taken; or remove "
            "the tables from the task's mappings (`dms-assets provision`) and move the files away"
        ),
        # Which tables, not how many files: those of a table that is still captured come all the time.
        digest=_digest([str(name) for name in names]),
    )


def _judge_strangers(spec: SourceSpec, entries: Collection[Entry]) -> FolderVerdict:
    ids = sorted(entry.entry_id for entry in entries if entry.table is None and entry.state is EntryState.OPEN)
    return FolderVerdict(
        STRANGER_CHECK,
        passed=not ids,
        found=f"{len(ids)} in quarantine ({', '.join(ids[:_LISTED])})" if ids else "no other object",
        remedy=(
            f"find out who writes to the landing folder of {spec.name} beside DMS; read the report with "
            "`dms-assets quarantine show ID`, then discard it with a reason. No table is held by these"
        ),
        digest=_digest(ids),
    )


def news(spec: SourceSpec, verdicts: Sequence[FolderVerdict], seen: Mapping[str, str]) -> list[dg.AssetCheckEvaluation]:
    """Evaluations, without a run, of the verdicts that changed; `seen` are the digests told of, by check."""
    return [
        dg.AssetCheckEvaluation(
            asset_key=folder_key(spec.name),
            check_name=verdict.check,
            passed=verdict.passed,
            severity=dg.AssetCheckSeverity.WARN,
            metadata=verdict.metadata,
        )
        for verdict in verdicts
        if seen.get(verdict.check) != verdict.digest
    ]


def build_folder_checks(spec: SourceSpec) -> dg.AssetChecksDefinition:
    """The same checks on demand."""

    @dg.multi_asset_check(
        name=f"{spec.name}_landing_folder",
        specs=[
            dg.AssetCheckSpec(check, asset=folder_key(spec.name), description=about) for check, about in _ABOUT.items()
        ],
    )
    def landing_folder(installation: dg.ResourceParam[Installation]) -> Iterator[dg.AssetCheckResult]:
        entries = Quarantine(installation.quarantine, spec.name).entries()
        for verdict in judge_folder(spec, read_inbox(installation.landing, spec).undeclared, entries):
            yield dg.AssetCheckResult(
                asset_key=folder_key(spec.name),
                check_name=verdict.check,
                passed=verdict.passed,
                severity=dg.AssetCheckSeverity.WARN,
                metadata=verdict.metadata,
            )

    return landing_folder


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
