"""What one rule group found in all files of a run, accepted and rejected: the substance of an asset check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dms_assets.model.landed_file import FileIdentity
from dms_assets.validation.outcome import CheckOutcome, FileVerdict, Group

_TOLD_FILES = 5


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that fails a group. Ordinals of rows count from 0, in this file."""

    identity: FileIdentity
    outcome: CheckOutcome


@dataclass(frozen=True, slots=True)
class BatchCheck:
    """One group over the files it judged, one at least. `failing` counts rows (columns, for `schema`)."""

    group: Group
    expected: str
    found: str
    files: int
    failed: tuple[FailedFile, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every file passes."""
        return not self.failed

    @property
    def failing(self) -> int:
        """Over all files that fail."""
        return sum(file.outcome.failing for file in self.failed)


def merge_checks(verdicts: Iterable[tuple[FileIdentity, FileVerdict]]) -> dict[Group, BatchCheck]:
    """One check per group over files; groups that no file was judged by are missing."""
    groups: dict[Group, list[tuple[FileIdentity, CheckOutcome]]] = {}
    for identity, verdict in verdicts:
        for outcome in verdict.outcomes:
            groups.setdefault(outcome.group, []).append((identity, outcome))
    return {group: _merged(group, found) for group, found in groups.items()}


def _merged(group: Group, judged: list[tuple[FileIdentity, CheckOutcome]]) -> BatchCheck:
    failed = tuple(FailedFile(identity, outcome) for identity, outcome in judged if not outcome.passed)
    if not failed:
        told = judged[0][1].found if len(judged) == 1 else f"{len(judged)} files, none fails"
        return BatchCheck(group, judged[0][1].expected, told, len(judged))
    named = [f"{file.identity.key}: {file.outcome.found}" for file in failed[:_TOLD_FILES]]
    more = [f"and {len(failed) - _TOLD_FILES} more files"] if len(failed) > _TOLD_FILES else []
    return BatchCheck(
        group=group,
        expected=failed[0].outcome.expected,
        found=f"{len(failed)} of {len(judged)} files fail: " + "; ".join([*named, *more]),
        files=len(judged),
        failed=failed,
    )
