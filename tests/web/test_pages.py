"""Our own pages: hostile names come out as text, values of rows not at all, and what is there is right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest

from dms_assets.installation import Installation
from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.quarantine import Entry, EntryState, Quarantine, Report
from dms_assets.model.landed_file import FileIdentity
from dms_assets.model.names import TableName
from dms_assets.pipeline.status.model import FailedRun, Hold, PlatformStatus, SourceStatus, TableStatus
from dms_assets.validation.outcome import CheckOutcome, Group, Reason
from dms_assets.validation.worker_process import ValidationWorker
from dms_assets.web.page import render
from dms_assets.web.quarantine_page import entry_page, quarantine_page
from tests.lake.world import World, cdc_table, load_table, rows
from tests.web.installed_world import installed_world
from tests.web.server_process import WebServer
from tests.web.small_location import HOSTILE

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
ATTACKS = (
    HOSTILE,
    '"><img src=x onerror=alert(1)>',
    "'onmouseover='x",
    "{{ 7919*7907 }}",
    "javascript:alert(1)",
    "\u202eevil",
)


class _Page(HTMLParser):
    """Elements that a browser would make, and addresses it would follow."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in {"href", "src"}:
                self.links.append(value or "")


def _harmless(text: str) -> _Page:
    page = _Page(text)
    assert "\u202e" not in text, "what writes backwards is written out"
    assert not page.tags & {"script", "img", "iframe", "object", "form", "style", "base"}
    assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
    assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in page.links), page.links
    assert "62615533" not in text
    return page


@pytest.fixture(scope="module")
def worker() -> Iterator[ValidationWorker]:
    with ValidationWorker() as running:
        yield running


@pytest.fixture
def installed(tmp_path: Path, worker: ValidationWorker) -> tuple[Installation, World]:
    return installed_world(tmp_path, worker)


def _hostile_entry(installation: Installation, attack: str, origin: FolderStore) -> Entry:
    """As if somebody wrote a file of that name into landing, and every text around it said it again."""
    meta = origin.put("file", b"x")
    outcome = CheckOutcome(
        Group.DOMAIN, passed=False, expected=attack, found=attack, failing=1, rows=(3,), key_hashes=(attack,)
    )
    identity = FileIdentity(attack, attack, attack)
    report = Report(identity, 1, "shop", TableName("app", "person"), None, Reason.DOMAIN, (outcome,), NOW, attack, 1)
    quarantine = Quarantine(installation.quarantine, "shop")
    entry = quarantine.put(report, origin, "file", meta.etag)
    return quarantine.decide(entry, EntryState.REPLAY, attack, attack, NOW)


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_texts_stay_texts_in_quarantine(
    installed: tuple[Installation, World], tmp_path: Path, attack: str
) -> None:
    installation, _ = installed
    entry = _hostile_entry(installation, attack, FolderStore(tmp_path / "origin"))
    for page in (quarantine_page(installation, "shop"), entry_page(installation, "shop", entry.entry_id)):
        _harmless(bytes(page.body).decode())
        assert "script" not in page.headers["content-security-policy"]
        assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_texts_stay_texts_on_the_first_page(attack: str) -> None:
    table = TableStatus(
        TableName(attack, attack), attack, attack, holds=(Hold(attack, attack),), quarantined={attack: 3}
    )
    source = SourceStatus(attack, attack, attack, (table,), attack, NOW, NOW, {attack: 1})
    run = FailedRun(attack, attack, NOW, repaired=False)
    status = PlatformStatus(NOW, (source,), (run,), {attack: attack})
    _harmless(bytes(render("platform.html", status=status, read_only=True).body).decode())


def _quarantined(world: World) -> list[Entry]:
    """Files that break every rule on values, with a canary in each."""
    world.land_load(load_table(rows(2)))
    world.loaded(2)
    world.ingest()
    canaries = [
        rows(1, 10, name=["CANARY-far-too-long"]),
        rows(1, 11, status=pa.array(["CANARY"], pa.string())),
        rows(1, 12, amount=pa.array(["CANARY"], pa.string())),
        {**rows(1, 13), "CANARY_column": ["CANARY"]},
    ]
    for number, data in enumerate(canaries):
        world.land(f"20260101-00000000{number}.parquet", cdc_table(data, seq=number + 1))
    world.land("20260101-000000009.parquet", b"CANARY" * 100)
    world.ingest()
    return world.quarantine.entries()


def test_no_value_of_a_rejected_row_is_on_a_page(installed: tuple[Installation, World]) -> None:
    installation, world = installed
    entries = _quarantined(world)
    assert len(entries) == 5
    listed = bytes(quarantine_page(installation, "shop").body).decode()
    assert "CANARY" not in listed
    for entry in entries:
        assert entry.entry_id in listed
        body = bytes(entry_page(installation, "shop", entry.entry_id).body).decode()
        # The name of a column is in the report; it is what is wrong.
        assert "CANARY" not in body.replace("CANARY_column", "")
        _harmless(body)


def test_a_report_says_what_is_wrong_and_what_to_do(installed: tuple[Installation, World]) -> None:
    installation, world = installed
    world.land_load(load_table(rows(2)))
    world.loaded(2)
    world.ingest()
    key = world.land("20260101-000000001.parquet", cdc_table(rows(3, 10, name=["fine", "CANARY-far-too-long", None])))
    world.ingest()
    (entry,) = world.quarantine.entries()
    report = world.quarantine.report(entry)
    (failed,) = [outcome for outcome in report.outcomes if not outcome.passed]
    body = bytes(entry_page(installation, "shop", entry.entry_id).body).decode()
    for told in (
        key,
        "Rejected: length",
        "row 1",
        failed.key_hashes[0],
        f"replay {entry.entry_id} --reason",
        "None yet",
    ):
        assert told in body
    world.quarantine.decide(entry, EntryState.DISCARD, "planted", "tester", NOW)
    body = bytes(entry_page(installation, "shop", entry.entry_id).body).decode()
    assert "planted" in body
    assert f"discard {entry.entry_id}" in body
    assert f"replay {entry.entry_id}" not in body


def test_an_entry_that_is_not_there_is_404(installed: tuple[Installation, World]) -> None:
    page = entry_page(installed[0], "shop", HOSTILE)
    assert page.status_code == 404
    _harmless(bytes(page.body).decode())


def test_the_first_page_shows_each_kind_of_trouble() -> None:
    ago = NOW - timedelta(minutes=3)
    held = TableStatus(
        TableName("app", "a"), holds=(Hold("load_not_stuck", "stuck for good"),), batch=3, curated_batch=2
    )
    taking = TableStatus(
        TableName("app", "b"), pending_files=4, pending_bytes=5_000, pending_since=ago, batch=1, validated_at=ago
    )
    source = SourceStatus("shop", "postgres", "team:shop", (held, taking), "running", NOW, ago)
    status = PlatformStatus(NOW, (source,), (FailedRun("run-1", "ingest shop", ago, repaired=True),))
    body = bytes(render("platform.html", status=status, read_only=False).body).decode()
    told = ["needs a look", "load_not_stuck", "stuck for good", "running", "4 files", "5.0 kB", "3 min", "taking in"]
    for text in [
        *told,
        "made by a later run",
        "/assets/shop/curated/app/a",
        "/platform/quarantine/shop",
        "/runs/run-1",
    ]:
        assert text in body, text


def test_pages_of_the_server(server: WebServer) -> None:
    first = server.ask("GET", "/platform")
    assert first.status == 200
    assert "probation" in first.body
    assert _harmless(first.body).links.count("/platform/static/platform.css") == 1
    for target in ("/platform/quarantine/nosuch", f"/platform/quarantine/{quote(HOSTILE)}", "/platform/nosuch/page"):
        answer = server.ask("GET", target)
        assert answer.status == 404
        _harmless(answer.body)


def test_the_lineage_page_of_the_server(server: WebServer) -> None:
    assert server.ask("GET", "/platform/lineage/no/such/asset").status == 404
    page = server.ask("GET", "/platform/lineage/shop/curated/app/person")
    assert page.status == 200
    _harmless(page.body)
    # A slash in a part of a key stays in that part.
    assert server.ask("GET", "/platform/lineage/shop/source/app%2Fodd/person").status == 200
    assert server.ask("GET", "/platform/lineage/shop/source/app/odd/person").status == 404
