"""The command `quarantine`: what is in quarantine, why, and what to do about it.

Exit status: 0 done; 1 the request cannot be met (no such id, decided before, no reason); 2 wrong usage.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from dms_assets.commands.options import home_option, json_option
from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.lake.clearing import Clearing
from dms_assets.lake.quarantine import Entry, EntryState, Quarantine, QuarantineError
from dms_assets.lake.stores import LakeStores
from dms_assets.sources import read_sources


@dataclass(frozen=True, slots=True)
class QuarantineAccess:
    """What the commands work on. `folders`: name of each declared source -> its folder in landing."""

    stores: LakeStores
    folders: Mapping[str, str]

    def all(self) -> Iterator[tuple[str, Quarantine, Entry]]:
        """Every entry of every source."""
        for source in self.folders:
            quarantine = Quarantine(self.stores.quarantine, source)
            for entry in quarantine.entries():
                yield source, quarantine, entry

    def find(self, entry_id: str) -> tuple[str, Quarantine, Entry]:
        """One entry. Raises ClickException (status 1) if there is none."""
        for source, quarantine, entry in self.all():
            if entry.entry_id == entry_id:
                return source, quarantine, entry
        raise click.ClickException(f"nothing in quarantine is called '{entry_id}'; see `dms-assets quarantine list`")


_STATUS = """\b
Exit status:
  0  done
  1  the request cannot be met: no such id, decided before, no reason
  2  wrong usage"""


def _examples(*lines: str) -> str:
    return "\n".join(["\b", "Examples:", *(f"  dms-assets quarantine {line}" for line in lines), "", _STATUS])


_reason_option = click.option("--reason", required=True, help="Why; it is kept with the file and in the ledger.")
_id_argument = click.argument("entry_id", metavar="ID")
_ids_argument = click.argument("entry_ids", metavar="ID...", nargs=-1, required=True)


@click.group(
    epilog=_examples("list", "show ID", "replay ID --reason 'rule corrected'", "discard ID ID --reason 'test files'")
)
@home_option
@click.pass_context
def quarantine(context: click.Context, home: Path) -> None:
    """Files that were rejected: look at them, replay or discard them."""
    if context.obj is None:
        good, _ = read_sources()
        folders = {spec.name: spec.folder for spec in good.values()}
        context.obj = QuarantineAccess(Installation(Environment(home=home)).lake, folders)


@quarantine.command("list", epilog=_examples("list", "list --all", "list --json | jq -r '.[].id'"))
@click.option("--all", "everything", is_flag=True, help="Also what was decided and carried out.")
@json_option
@click.pass_obj
def _list(access: QuarantineAccess, everything: bool, as_json: bool) -> None:
    """List files in quarantine: id, state, source, table, reason, key."""
    rows = [
        _row(source, store, entry)
        for source, store, entry in access.all()
        if everything or entry.state is not EntryState.DONE
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        click.echo(
            f"{row['id']}  {row['state']:8}  {row['source']}  {row['table'] or '-'}  {row['reason']}  {row['key']!a}"
        )
    click.echo(f"{len(rows)} in quarantine")


@quarantine.command("show", epilog=_examples("show 0123456789abcdef", "show 0123456789abcdef --json"))
@_id_argument
@json_option
@click.pass_obj
def _show(access: QuarantineAccess, entry_id: str, as_json: bool) -> None:
    """Show why a file was rejected, and what was decided."""
    source, store, entry = access.find(entry_id)
    decisions = list(store.decisions(entry))
    if as_json:
        report = store.report(entry).to_json()
        click.echo(json.dumps({**_row(source, store, entry), "report": report, "decisions": decisions}, indent=1))
        return
    click.echo(store.report(entry).text(), nl=False)
    click.echo(f"state: {entry.state}")
    for decision in decisions:
        click.echo(f"{decision['at']} {decision['action']} by {decision['by']}: {decision['reason']}")
    if entry.file is not None:
        click.echo(f"file: {store.store.uri}/{entry.file.key}")


@quarantine.command("replay", epilog=_examples("replay 0123456789abcdef --reason 'the rule was wrong'"))
@_ids_argument
@_reason_option
@click.pass_obj
def _replay(access: QuarantineAccess, entry_ids: tuple[str, ...], reason: str) -> None:
    """Have files judged again, by the metadata and rules of now, in the next run of their table."""
    for source, store, entry in [access.find(entry_id) for entry_id in entry_ids]:
        decided = _decide(store, entry, EntryState.REPLAY, reason)
        Clearing(access.stores, source, access.folders[source], datetime.now(UTC)).note_replay(decided)
        click.echo(f"{entry.entry_id} is judged again in the next run of {decided.table}")


@quarantine.command("discard", epilog=_examples("discard 0123456789abcdef --reason 'written by a test'"))
@_ids_argument
@_reason_option
@click.pass_obj
def _discard(access: QuarantineAccess, entry_ids: tuple[str, ...], reason: str) -> None:
    """Give files up: their rows never enter the table. The files themselves go to the archive."""
    for source, store, found in [access.find(entry_id) for entry_id in entry_ids]:
        entry = found
        if entry.state is not EntryState.DISCARD:
            entry = _decide(store, entry, EntryState.DISCARD, reason)
        Clearing(access.stores, source, access.folders[source], datetime.now(UTC)).discard(entry)
        click.echo(f"{entry.entry_id} is discarded")


def _decide(store: Quarantine, entry: Entry, action: EntryState, reason: str) -> Entry:
    try:
        return store.decide(entry, action, reason, getpass.getuser(), datetime.now(UTC))
    except QuarantineError as error:
        raise click.ClickException(str(error)) from error


def _row(source: str, store: Quarantine, entry: Entry) -> dict[str, Any]:
    report = store.report(entry)
    return {
        "id": entry.entry_id,
        "state": entry.state.value,
        "source": source,
        "table": str(entry.table) if entry.table else None,
        "kind": report.kind.value if report.kind else None,
        "reason": report.reason.value,
        "key": report.identity.key,
        "size": report.size,
        "at": report.at.isoformat(),
    }
