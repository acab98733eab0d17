"""Mutants of right files: `python -m tests.corpus.mutants --seed 1 --count 2000` tries many, and names each that fails.

A mutant that is accepted must hold exactly the rows of the file it was made of. Files are compressed as a task that
is told to (gzip), where every page carries a checksum, or plain with checksums of the format's own; of a plain file
without any nobody can tell a value from another one: there, what is accepted must still follow every rule, and those
with other values are counted by themselves.
"""

from __future__ import annotations

import hashlib
import random
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dms_assets.model.change_columns import LandingColumns
from dms_assets.model.landed_file import FileIdentity, FileKind
from dms_assets.validation.messages import FileTask, TableTask
from dms_assets.validation.worker_process import ValidationWorker, WorkerLimits
from tests.corpus.making import written
from tests.lake.world import PERSON, cdc_table, rows

WRITERS: dict[str, dict[str, object]] = {
    "gzip": {"compression": "gzip"},
    "gzip, plain values": {"compression": "gzip", "use_dictionary": False},
    "checksums": {"compression": "none", "write_page_checksum": True},
    "plain": {"compression": "none"},
}
GROUP = 100
ACCEPTED, UNTOLD = "accepted", "accepted with other values, of a plain file without checksums"
TASK = TableTask(PERSON, (), LandingColumns(), unique_positions=True, ordered_files=True)
_VALUES = [column.name for column in PERSON.columns]
_LIMITS = WorkerLimits(memory_bytes=1 << 30, cpu_seconds=20)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mutant: of which writer, made from which seed, and its bytes."""

    writer: str
    seed: int
    body: bytes


def original(writer: str) -> tuple[pa.Table, bytes]:
    """The right file that mutants are made of."""
    table = cdc_table(rows(200))
    return table, written(table, **WRITERS[writer])


def mutate(body: bytes, seed: int) -> bytes:
    """Up to three changes: bits, bytes, runs, numbers of the footer, pieces moved, doubled or cut."""
    chance = random.Random(seed)
    out = bytearray(body)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        out = _once(out, chance)
    return bytes(out)


def _once(body: bytearray, chance: random.Random) -> bytearray:
    if len(body) < 16:
        return body
    # Half of them in the footer, where a byte says most.
    tail = min(len(body) - 8, 8 + int.from_bytes(body[-8:-4], "little"))
    low = len(body) - 8 - tail if chance.random() < 0.5 else 0
    at = chance.randrange(max(low, 0), len(body))
    size = chance.choice([1, 1, 2, 4, 16, 100])
    match chance.randrange(7):
        case 0:
            body[at] ^= 1 << chance.randrange(8)
        case 1:
            body[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
        case 2:
            body[at : at + size] = chance.randbytes(len(body[at : at + size]))
        case 3:
            del body[at : at + size]
        case 4:
            body[at:at] = chance.randbytes(size)
        case 5:
            body[at:at] = body[at : at + size]
        case _:
            other = chance.randrange(len(body))
            body[at], body[other] = body[other], body[at]
    return body


def mutants(seed: int, count: int) -> Iterator[Mutant]:
    """`count` mutants that differ from their originals, each from a seed of its own."""
    names = list(WRITERS)
    bodies = {name: original(name)[1] for name in names}
    for number in range(seed, seed + count):
        writer = names[number % len(names)]
        body = mutate(bodies[writer], number)
        if body != bodies[writer]:
            yield Mutant(writer, number, body)


def judge(group: Sequence[Mutant], folder: Path) -> Iterator[tuple[Mutant, str]]:
    """What is wrong with the verdicts on some mutants; and ACCEPTED, UNTOLD or the reason, for the others."""
    with ValidationWorker(_LIMITS) as worker:
        worker.set_table(TASK)
        tasks = [_task(folder / f"{mutant.seed}.parquet", mutant.body) for mutant in group]
        result = worker.validate(tasks, folder / "out", 1)
        found = [pq.read_table(output.path) for output in result.outputs if output.rows]
        rows_of = pa.concat_tables(found) if found else None
        for mutant, task, verdict in zip(group, tasks, result.verdicts, strict=True):
            task.path.unlink()
            if verdict is None:
                yield mutant, "WRONG: no verdict"
            elif verdict.reason is not None:
                yield mutant, verdict.reason.value
            else:
                own = rows_of.filter(pc.equal(rows_of["_file"], pa.scalar(task.identity.key))) if rows_of else None
                yield mutant, _accepted(mutant, own)


def _task(path: Path, body: bytes) -> FileTask:
    path.write_bytes(body)
    etag = hashlib.sha256(body).hexdigest()[:16]
    identity = FileIdentity(f"shop/app/person/{path.name}", etag, "2026-01-02T00:00:00.000000+00:00")
    return FileTask(path, identity, FileKind.CDC, 1)


def _accepted(mutant: Mutant, own: pa.Table | None) -> str:
    """Why an accepted mutant should not have been, or what it is."""
    if own is None or own.num_rows == 0:
        return "WRONG: accepted without its rows"
    other = _other_values(original(mutant.writer)[0], own)
    if mutant.writer == "plain":
        return _broken(own) or (UNTOLD if other else ACCEPTED)
    return f"WRONG: accepted with another {other}" if other else ACCEPTED


def _other_values(right: pa.Table, own: pa.Table) -> str | None:
    """The first column that is not as it was written."""
    names = {
        **{name: name for name in _VALUES},
        "Op": "_op",
        "dms_change_seq": "_seq",
        "dms_stream_position": "_position",
    }
    for landed, name in names.items():
        if own[name].to_pylist() != _plain(right[landed]):
            return name
    return None


def _plain(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64()).cast(pa.timestamp("us")).to_pylist()
    return column.to_pylist()


def _broken(own: pa.Table) -> str | None:
    """A plain reading of the rules, with none of the platform's code."""
    table = own.to_pylist()
    rules = {
        "id": lambda row: row["id"] is not None,
        "name": lambda row: row["name"] is None or row["_op"] == "D" or len(row["name"]) <= 10,
        "status": lambda row: row["_op"] == "D" or row["status"] in {"OPEN", "CLOSED"},
        "amount": lambda row: row["amount"] is None or row["_op"] == "D" or abs(row["amount"]) < 10**8,
        "_op": lambda row: row["_op"] in {"I", "U", "D"},
        "_seq": lambda row: re.fullmatch("[0-9]{35}", row["_seq"]) is not None,
        "_position": lambda row: bool(row["_position"]),
        "_commit_at": lambda row: row["_commit_at"].year < 2027,
    }
    for name, rule in rules.items():
        if not all(rule(row) for row in table):
            return f"WRONG: accepted with a row that breaks the rule on {name}"
    ordered = [row["_seq"] for row in table]
    return None if ordered == sorted(set(ordered)) else "WRONG: accepted out of order"


@click.command()
@click.option("--seed", default=1, show_default=True, help="The first seed.")
@click.option("--count", default=2000, show_default=True, help="Mutants.")
def main(seed: int, count: int) -> None:
    """Try mutants; exit status 1 if one is wrongly accepted, or has no verdict."""
    tally: Counter[str] = Counter()
    every = list(mutants(seed, count))
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(every), GROUP):
            for mutant, told in judge(every[start : start + GROUP], Path(folder)):
                tally[told] += 1
                if told.startswith("WRONG"):
                    click.echo(f"seed {mutant.seed} ({mutant.writer}): {told}")
    click.echo(", ".join(f"{count} {told}" for told, count in tally.most_common()))
    if any(told.startswith("WRONG") for told in tally):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
