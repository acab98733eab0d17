"""The findings of a preflight as text for a terminal, and its SQL alone."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from dms_assets.preflight.check import Result
from dms_assets.preflight.facts import Extractor
from dms_assets.preflight.finding import Finding, FixKind, Severity

_WIDTH = 110
_SERVICES = {Extractor.AWS: "AWS DMS", Extractor.LOCAL: "Local DMS"}
_LEADS = {FixKind.SQL: "fix, on the source:", FixKind.DEFS: "fix, in defs.yaml:", FixKind.COMMAND: "fix:"}


def counts_text(result: Result) -> str:
    """`2 errors, 1 warning, no notes`."""
    return ", ".join(_count(result.count(severity), severity) for severity in Severity)


def _count(number: int, severity: Severity) -> str:
    return f"{number or 'no'} {severity.value}{'' if number == 1 else 's'}"


def report_lines(result: Result) -> Iterator[tuple[str, Severity | None]]:
    """The lines of a report; those that open a finding come with its severity."""
    version = f"{result.server_version // 10_000}.{result.server_version % 10_000}"
    yield f"Source {result.source}: {result.tables} tables of PostgreSQL {version} at {result.where}", None
    yield f"as user {result.user}, for {_SERVICES[result.extractor]}: {counts_text(result)}", None
    for severity in Severity:
        findings = [finding for finding in result.findings if finding.severity is severity]
        if findings:
            yield "", None
            yield f"{severity.value.upper()}S ({len(findings)})", severity
            for finding in findings:
                yield from _finding_lines(finding)


def _finding_lines(finding: Finding) -> Iterator[tuple[str, Severity | None]]:
    yield "", None
    yield f"  {finding.code}  {finding.thing}", finding.severity
    for line in textwrap.wrap(finding.reason, _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield f"    {line}", None
    for place, fix in enumerate(finding.fixes):
        yield f"    {'or ' if place else ''}{_LEADS[fix.kind]}", None
        for line in fix.text.splitlines():
            yield f"      {line}", None
    yield f"    rule: {finding.rule}", None


def fix_sql(results: Sequence[Result]) -> Iterator[str]:
    """The recommended SQL of every finding that has some, each below a comment that names the finding."""
    for result in results:
        for finding in result.findings:
            statement = next((fix.text for fix in finding.fixes if fix.kind is FixKind.SQL), None)
            if statement is not None:
                thing = " ".join(f"{finding.code} {finding.thing}".split())
                yield f"-- {result.source}: {finding.severity.value}: {thing}"
                yield statement
