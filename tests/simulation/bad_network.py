"""One table taken in while stores and catalog fail, until nothing is left: every row once, every file accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from dms_assets.lake.commit_protocol import TableBusyError
from dms_assets.lake.iceberg import local_catalog
from dms_assets.lake.landing import read_inbox
from dms_assets.lake.quarantine import EntryState, Quarantine, QuarantineError
from dms_assets.lake.stores import LakeStores
from dms_assets.lake.strangers import quarantine_strangers
from dms_assets.lake.validated_table import UnknownCommitError
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import World, cdc_table, event_counts, load_table, rows
from tests.simulation.faults import Faults, FaultyStore, PlantedError, make_faulty

ROUNDS, CALM_ROUNDS = 12, 6
LOADED, DELETED = 40, 3
NAMES = ("landing", "archive", "quarantine", "ledger")


class _Expected:
    """What is to be in the table and in the ledger at the end."""

    def __init__(self) -> None:
        self.rows: Counter[tuple[str, int]] = Counter()
        self.files = 0
        self.rejected = 0
        self.discarded = 0


def bad_network(seed: int, folder: Path, worker: ValidationWorker, probability: float = 0.04) -> Counter[str]:
    """What went wrong, counted. Raises AssertionError if a row is lost or there twice, or a file is not told of."""
    random = Random(seed)
    faults = Faults(random, probability)
    world = _world(folder, worker, faults)
    errors = Counter[str]()
    faults.active = False
    until_nothing_is_left(world, random, lambda: _failing(faults, errors))
    return faults.counts + errors


def until_nothing_is_left(
    world: World,
    random: Random,
    failing: Callable[[], AbstractContextManager[None]],
    rounds: int = ROUNDS,
    calm: int = CALM_ROUNDS,
) -> None:
    """Files arrive, runs and decisions take place inside of `failing`; at the end all is well, and is looked at."""
    expected = _Expected()
    _load(world, expected)
    for number in range(rounds):
        _arrive(world, random, number, expected)
        with failing():
            _tick(world)
        with failing():
            _decide(world, random)
    for _ in range(calm):
        # The network is well again; nobody does anything but what happens by itself.
        _tick(world)
    _prove(world, expected)


def _world(folder: Path, worker: ValidationWorker, faults: Faults) -> World:
    landing, archive, quarantine, ledger = (FaultyStore(folder / name, faults) for name in NAMES)
    catalog = local_catalog(folder / "lake")
    make_faulty(catalog, faults)
    stores = LakeStores(landing, archive, quarantine, ledger, catalog, folder / "lake" / "scratch")
    return World(folder, landing, stores, worker)


@contextmanager
def _failing(faults: Faults, errors: Counter[str]) -> Iterator[None]:
    """Inside, requests go wrong; what a run ended with is counted."""
    faults.active = True
    try:
        yield
    except (PlantedError, UnknownCommitError, TableBusyError) as error:
        errors[f"runs ended by {type(error).__name__}"] += 1
    finally:
        faults.active = False


def _load(world: World, expected: _Expected) -> None:
    parts = [rows(LOADED // 2), rows(LOADED // 2, first=1 + LOADED // 2)]
    world.land_load(*(load_table(part) for part in parts))
    world.loaded(LOADED)
    expected.rows.update(("L", key) for key in range(1, LOADED + 1))
    expected.files += len(parts)


def _arrive(world: World, random: Random, number: int, expected: _Expected) -> None:
    """Some files: inserts, deletes, one that is no good."""
    for index in range(random.randrange(1, 4)):
        first = 1_000 + 100 * number + 10 * index
        count = random.randrange(1, 5)
        world.land(f"20260101-{number:06d}{index:03d}.parquet", cdc_table(rows(count, first=first), seq=first))
        expected.rows.update(("I", key) for key in range(first, first + count))
        expected.files += 1
    if random.random() < 0.3:
        world.land(f"20260102-{number:09d}.parquet", cdc_table(rows(1), op="?"))
        expected.rejected += 1
    if random.random() < 0.2:
        world.landing.put(f"shop/app/person/{number}.txt", b"?")


def _tick(world: World) -> None:
    inbox = read_inbox(world.landing, world.spec)
    quarantine_strangers(world.stores, world.spec, inbox.strangers, datetime.now(UTC))
    world.ingest()


def _decide(world: World, random: Random) -> None:
    """An operator discards a file now and then; whom the store fails asks again, later."""
    quarantine = Quarantine(world.stores.quarantine, world.spec.name)
    for entry in quarantine.entries(world.name):
        if entry.state is EntryState.OPEN and random.random() < 0.3:
            try:
                quarantine.decide(entry, EntryState.DISCARD, "planted", "me", datetime.now(UTC))
            except QuarantineError:
                continue


def _prove(world: World, expected: _Expected) -> None:
    found: Counter[tuple[str, int]] = Counter((op, key) for op, key in world.table_rows())
    assert not expected.rows - found, f"lost: {expected.rows - found}"
    assert not found - expected.rows, f"there twice: {found - expected.rows}"
    assert world.listed() == [], "files stay in landing"
    events = event_counts(world.ledger_rows())
    assert events["accepted"] == expected.files, f"{events} for {expected.files} files"
    entries = world.quarantine.entries(world.name)
    assert len(entries) == expected.rejected
    done = [entry for entry in entries if entry.state is EntryState.DONE]
    assert all(entry.file is None for entry in done)
    assert all(entry.state in {EntryState.OPEN, EntryState.DONE} for entry in entries), "a decision is not carried out"
    assert events.get("quarantined", 0) == expected.rejected
    assert events.get("discarded", 0) == len(done)
    shelves = Counter(key.split("/")[3] for key in world.archived())
    assert shelves["accepted"] == expected.files
    assert shelves["discarded"] == len(done)
    assert not world.ingest().committed
