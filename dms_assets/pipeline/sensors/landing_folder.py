"""What is in a source's landing folder beside files of declared tables, told where the UI shows it.

Files of undeclared tables wait in landing: declared again, they are taken in order. So do changes of a stream that
nobody knows: it ended before the task was looked at for the first time. Objects that DMS cannot have written are in
quarantine and hold no table. None of these belongs to an asset of a table, so the folder has one of its own.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from dms_assets.installation import Installation
from dms_assets.lake.landing import Inbox, read_inbox
from dms_assets.lake.quarantine import Entry, EntryState, Quarantine
from dms_assets.lake.task_memory import StreamStore
from dms_assets.model.landed_file import FileKind, LandedFile
from dms_assets.model.load import Stream
from dms_assets.model.load_closing import stream_of
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.keys import group

UNDECLARED_CHECK = "only_declared_tables"
STREAM_CHECK = "only_known_streams"
STRANGER_CHECK = "only_keys_of_dms"
_ABOUT = {
    UNDECLARED_CHECK: "Every file in landing is of a table that the source declares.",
    STREAM_CHECK: "Every file with changes in landing was written by a stream of the task that is known.",
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
    spec: SourceSpec, inbox: Inbox, streams: Sequence[Stream], entries: Collection[Entry]
) -> list[FolderVerdict]:
    """All checks. `streams` are those that are known, `entries` is all that is in the source's quarantine."""
    return [
        _judge_undeclared(spec, inbox.undeclared),
        _judge_streams(inbox.tables, streams),
        _judge_strangers(spec, entries),
    ]


def _judge_undeclared(spec: SourceSpec, undeclared: Mapping[TableName, Sequence[LandedFile]]) -> FolderVerdict:
    names = sorted(undeclared)
    return FolderVerdict(
        UNDECLARED_CHECK,
        passed=not names,
        found=_counted(undeclared) or "no file of another table",
        remedy=(
            f"they wait in landing: declare the tables in the defs.yaml of {spec.name}, and they are taken; or remove "
            "the tables from the task's mappings (`dms-assets provision`) and move the files away"
        ),
        # Which tables, not how many files: those of a table that is still captured come all the time.
        digest=_digest([str(name) for name in names]),
    )


def _judge_streams(files: Mapping[TableName, Sequence[LandedFile]], streams: Sequence[Stream]) -> FolderVerdict:
    changes = {name: [file for file in listed if file.parsed.kind is FileKind.CDC] for name, listed in files.items()}
    strays = {name: [file for file in listed if stream_of(file, streams) is None] for name, listed in changes.items()}
    # Before the task was ever looked at, all is as it should be.
    strays = {name: listed for name, listed in strays.items() if listed and streams}
    oldest = min((stream.fresh_start for stream in streams), default=None)
    return FolderVerdict(
        STREAM_CHECK,
        passed=not strays,
        found=f"written before {oldest:%Y-%m-%d %H:%M:%S} UTC: {_counted(strays)}"
        if strays
        else "no file of an unknown stream",
        remedy=(
            "a stream wrote them that ended before the task was looked at for the first time; the load of the stream "
            "that followed has what came of them: move the files away"
        ),
        digest=_digest([file.identity.key for name in sorted(strays) for file in strays[name]]),
    )


def _counted(files: Mapping[TableName, Sequence[LandedFile]]) -> str:
    names = sorted(files)
    told = [f"{name}: {len(files[name])} files" for name in names[:_LISTED]]
    if len(names) > _LISTED:
        told.append(f"and {len(names) - _LISTED} tables more")
    return "; ".join(told)


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
        # Streams after files: one that is told of in between is the stream of newer files.
        inbox = read_inbox(installation.landing, spec)
        for verdict in judge_folder(spec, inbox, StreamStore(installation.state, spec.name).streams(), entries):
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
