"""What the state model of the commit protocol is made of: the rules, the world, and one small, hashable state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

File = tuple[int, int]
"""A key and the version that DMS wrote there."""
Delivered = tuple[int, int, int]
"""A key, the version it was listed as, and the version whose bytes were read."""


class ViolationError(AssertionError):
    """The world did what it must never do."""


@dataclass(frozen=True)
class Protocol:
    """The protocol, and what may be left out of it to see that the search notices."""

    fence: bool = True
    base_loaded_again: bool = False
    carry_listed: bool = True
    finish_gone: bool = True
    get_if_match: bool = True
    delete_if_match: str = "identity"
    archive_before_commit: bool = True
    retry_blindly: bool = False
    named_by_files: bool = False
    refusal_is_believed: bool = False
    delete_undecided_data: bool = False
    quarantine_is_heeded: bool = True
    void_committed: bool = True


@dataclass(frozen=True)
class World:
    """What may happen. `writes[key]` is how often DMS writes the key; `lost_responses` how many responses are lost, or
    are refusals of a repeated request; `same_bytes`: always the same bytes; `compactions` how often the same rows are
    put into other files; `disputed` files are accepted by one worker and rejected by another (they read the metadata
    at other times).
    """

    writes: tuple[int, ...]
    lost_responses: int
    keep_landing: bool = False
    same_bytes: bool = False
    compactions: int = 0
    disputed: frozenset[File] = frozenset()


class Snapshot(NamedTuple):
    batch_id: str
    attempt: int
    files: tuple[Delivered, ...]
    committed: frozenset[File]


class Worker(NamedTuple):
    """`step` and what the worker holds in memory: the base, its listing, and the batch so far.

    `attempt` tells requests on one base apart, while they matter.
    """

    step: str = "idle"
    base: int = 0
    listing: tuple[File, ...] = ()
    rejected: tuple[File, ...] = ()
    at: int = 0
    take: int = 0
    batch: tuple[Delivered, ...] = ()
    attempt: int = 0


class InFlight(NamedTuple):
    """A commit request without a response, that may arrive at any time or never."""

    base: int
    files: tuple[Delivered, ...]
    listing: tuple[File, ...]
    rejected: tuple[File, ...]
    attempt: int
    has_data: bool


class State(NamedTuple):
    landing: tuple[int, ...]
    written: tuple[int, ...]
    table: tuple[Snapshot, ...]
    archive: frozenset[File]
    quarantine: frozenset[File]
    ledger: frozenset[tuple[str, File]]
    in_flight: frozenset[InFlight]
    lost: int
    workers: tuple[Worker, ...]


IDLE = Worker()
