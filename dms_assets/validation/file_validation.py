"""One landed file: every rule over every row, and the accepted rows in the form of the validated table."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import polars as pl
import pyarrow as pa

from dms_assets.model.change_columns import LOAD_OP
from dms_assets.model.landed_file import FileKind
from dms_assets.validation.landed_types import check_schema, landed_schema
from dms_assets.validation.messages import FileTask, TableTask
from dms_assets.validation.normalise import normalise
from dms_assets.validation.outcome import (
    MAX_REPORTED_ROWS,
    CheckOutcome,
    FileVerdict,
    Group,
    Reason,
    reason_of,
    rejected,
)
from dms_assets.validation.output import Output
from dms_assets.validation.reader import ExpandsTooMuchError, LandedParquet, UnreadableError
from dms_assets.validation.rules import Rule, count_failures, polars_type, table_rules

_RULE_GROUPS = (Group.OP, Group.SEQUENCE, Group.KEY, Group.NULLABILITY, Group.LENGTH, Group.DOMAIN)


def check_declaration(table: TableTask) -> None:
    """Raises DeclaredCheckError if the declared checks do not fit the table: no fault of any file."""
    for kind in FileKind:
        table_rules(
            table.metadata, table.checks, table.columns, kind, has_op=True, unique_positions=table.unique_positions
        )


def validate_file(file: FileTask, table: TableTask, output: Output, batch: int, *, careful: bool) -> FileVerdict:
    """Judge a file; rows of an accepted one are in `output`.

    Raises MemoryError where it takes more memory than there is (never with `careful`: that is the verdict then).
    """
    verdict = _Validation(file, table, output, batch).run(careful=careful)
    if verdict.accepted:
        output.accept()
    else:
        output.discard()
    return verdict


class _Validation:
    """The state of one file's validation."""

    def __init__(self, file: FileTask, table: TableTask, output: Output, batch: int) -> None:
        self._file = file
        self._table = table
        self._output = output
        self._batch = batch
        self._rules: list[Rule] = []
        self._counts: list[int] = []
        self._failing: dict[int, list[tuple[int, str]]] = {}
        self._ops: Counter[str] = Counter()
        self._rows = 0
        self._steps_back = 0
        self._last_seq = ""

    def run(self, *, careful: bool) -> FileVerdict:
        try:
            parquet = LandedParquet(self._file.path, careful=careful)
            try:
                return self._scan(parquet)
            finally:
                parquet.close()
        except UnreadableError as error:
            return rejected(Reason.UNREADABLE, _readable(str(error)), self._rows)
        except ExpandsTooMuchError as error:
            return self._limit(str(error))
        except MemoryError as error:
            if careful:
                return self._limit(str(error) or "more memory than the limit")
            self._output.discard()
            raise

    def _scan(self, parquet: LandedParquet) -> FileVerdict:
        expected = landed_schema(self._table.metadata, self._table.columns, self._file.kind)
        schema = check_schema(parquet.schema, expected)
        if not schema.passed:
            return FileVerdict(parquet.rows, Reason.SCHEMA, (_readable(), schema))
        names = [parquet.schema.column(index).path for index in range(len(parquet.schema))]
        types = {name: expected.all[name] for name in names}
        self._rules = table_rules(
            self._table.metadata,
            self._table.checks,
            self._table.columns,
            self._file.kind,
            has_op=self._table.columns.op in types,
            unique_positions=self._table.unique_positions,
        )
        self._counts = [0] * len(self._rules)
        dtypes = {name: polars_type(logical) for name, logical in types.items()}
        for landed in parquet.batches({name: logical.arrow for name, logical in types.items()}):
            self._take(landed, dtypes)
        if self._rows != parquet.rows:
            found = f"the footer says {parquet.rows} rows, there are {self._rows}"
            return rejected(Reason.UNREADABLE, _readable(found), self._rows)
        outcomes = (_readable(), schema, *(self._outcome(group) for group in _RULE_GROUPS))
        return FileVerdict(self._rows, reason_of(outcomes), outcomes, dict(self._ops), self._steps_back)

    def _take(self, landed: pa.RecordBatch, dtypes: dict[str, pl.DataType]) -> None:
        frame = pl.DataFrame(landed)
        counts = count_failures(frame, self._rules)
        if any(counts):
            self._explain(frame, counts, dtypes)
        self._counts = [before + now for before, now in zip(self._counts, counts, strict=True)]
        if not any(self._counts):
            self._count_changes(frame)
            self._output.write(normalise(landed, self._rows, self._batch, self._file, self._table))
        self._rows += landed.num_rows

    def _count_changes(self, frame: pl.DataFrame) -> None:
        columns = self._table.columns
        if self._file.kind is FileKind.LOAD:
            self._ops[LOAD_OP] += frame.height
            return
        for op, count in frame[columns.op].value_counts().rows():
            self._ops[op] += count
        if columns.seq is not None and frame.height:
            seq = frame[columns.seq]
            self._steps_back += int((seq < seq.shift(1, fill_value=self._last_seq)).sum())
            self._last_seq = str(seq[-1])

    def _explain(self, frame: pl.DataFrame, counts: Sequence[int], dtypes: dict[str, pl.DataType]) -> None:
        # Pandera takes a third of a second to import, which only a failure is worth.
        from dms_assets.validation.schema import explain_failures  # noqa: PLC0415

        if all(len(self._failing.get(index, ())) >= MAX_REPORTED_ROWS for index, count in enumerate(counts) if count):
            return
        op = self._table.columns.op if self._file.kind is FileKind.CDC else None
        for index, rows in explain_failures(frame, self._rules, dtypes, op).items():
            known = self._failing.setdefault(index, [])
            named = rows[: MAX_REPORTED_ROWS - len(known)]
            known += [(self._rows + row, self._key_hash(frame, row)) for row in named]

    def _key_hash(self, frame: pl.DataFrame, row: int) -> str:
        """Sixteen digits that tell a key from others without giving it away; '' without a key."""
        key = self._table.metadata.key
        return key_hash([frame[name][row] for name in key]) if key else ""

    def _outcome(self, group: Group) -> CheckOutcome:
        indexes = [index for index, rule in enumerate(self._rules) if rule.group is group]
        broken = [index for index in indexes if self._counts[index]]
        named = {row: key for index in broken for row, key in self._failing.get(index, ())}
        rows = sorted(named)[:MAX_REPORTED_ROWS]
        expected = "; ".join(f"{self._rules[index].column}: {self._rules[index].expected}" for index in broken)
        found = "; ".join(f"{self._rules[index].column}: {self._counts[index]} rows fail" for index in broken)
        return CheckOutcome(
            group=group,
            passed=not broken,
            expected=expected or f"{len(indexes)} rules",
            found=found or f"{self._rows} rows, none fails",
            failing=max((self._counts[index] for index in broken), default=0),
            rows=tuple(rows),
            key_hashes=tuple(named[row] for row in rows),
        )

    def _limit(self, found: str) -> FileVerdict:
        outcome = CheckOutcome(Group.READABLE, passed=False, expected="readable within the limits", found=found)
        return rejected(Reason.RESOURCE_LIMIT, outcome, self._rows)


def key_hash(values: Sequence[object]) -> str:
    """Sixteen hexadecimal digits of the digest of a key's values."""
    return hashlib.sha256("\x1f".join(repr(value) for value in values).encode(errors="surrogatepass")).hexdigest()[:16]


def _readable(problem: str | None = None) -> CheckOutcome:
    expected = "a whole Parquet file, every page of it readable"
    return CheckOutcome(Group.READABLE, problem is None, expected, problem or "read in full")
