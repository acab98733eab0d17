"""One landed file: every rule over every row, and the accepted rows in the form of the validated table."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa

from dms_assets.model.change_columns import LOAD_OP
from dms_assets.model.landed_file import FileKind
from dms_assets.model.table_metadata import Added
from dms_assets.validation.change_rules import INSTANT, clock_steps_back, prepared, steps_back
from dms_assets.validation.declared import declared_rules
from dms_assets.validation.landed_types import LandedSchema, check_schema, landed_schema
from dms_assets.validation.messages import FileTask, TableTask
from dms_assets.validation.normalise import normalise
from dms_assets.validation.outcome import (
    MAX_REPORTED_ROWS,
    BrokenRule,
    CheckOutcome,
    FileVerdict,
    Group,
    Reason,
    beyond_limits,
    reason_of,
    rejected,
)
from dms_assets.validation.output import Output
from dms_assets.validation.reader import ExpandsTooMuchError, LandedParquet, UnreadableError
from dms_assets.validation.rule import Rule, count_failures, polars_type
from dms_assets.validation.rules import table_rules

_RULE_GROUPS = (
    Group.OP,
    Group.SEQUENCE,
    Group.ORDER,
    Group.KEY,
    Group.NULLABILITY,
    Group.LENGTH,
    Group.PRECISION,
    Group.DOMAIN,
    Group.DECLARED,
)


def check_declaration(table: TableTask) -> None:
    """Raises DeclaredCheckError if the declared checks do not fit the table: no fault of any file."""
    for check in table.checks:
        declared_rules(table.metadata, check)


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
        self._latest: datetime | None = None
        self._counts: list[int] = []
        self._failing: dict[int, list[tuple[int, str]]] = {}
        self._ops: Counter[str] = Counter()
        self._rows = 0
        self._steps_back = 0
        self._clock_steps, self._clock_back_s = 0, 0.0
        self._last = ("", "")

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
        older = None if schema.passed else self._older(parquet, expected)
        if older is not None:
            misfit, schema = schema, check_schema(parquet.schema, expected.lacking(older.columns))
        elif not schema.passed:
            return FileVerdict(parquet.rows, Reason.SCHEMA, (schema,))
        lacks = older.columns if older else frozenset()
        types = {name: expected.all[name] for name in parquet.names}
        self._rules = table_rules(
            self._table.metadata.without(lacks),
            [check for check in self._table.checks if check.column not in lacks],
            self._table.columns,
            self._file.kind,
            has_op=self._table.columns.op in types,
            unique_positions=self._table.unique_positions,
            ordered=self._table.ordered_files,
            written_at=datetime.fromisoformat(self._file.identity.last_modified),
        )
        self._counts = [0] * len(self._rules)
        dtypes = {name: polars_type(logical) for name, logical in types.items()}
        for landed in parquet.batches({name: logical.arrow for name, logical in types.items()}):
            self._take(landed, dtypes)
        if self._rows != parquet.rows:
            found = f"the footer says {parquet.rows} rows, there are {self._rows}"
            return rejected(Reason.UNREADABLE, _readable(found), self._rows)
        if older is not None and self._latest is not None and self._latest > older.known_at:
            # By then the column was there: this file should have it.
            return FileVerdict(parquet.rows, Reason.SCHEMA, (misfit,))
        outcomes = (_readable(), schema, *(self._outcome(group) for group in _RULE_GROUPS))
        return FileVerdict(
            rows=self._rows,
            reason=reason_of(outcomes),
            outcomes=outcomes,
            ops=dict(self._ops),
            steps_back=self._steps_back,
            clock_steps=self._clock_steps,
            clock_back_s=self._clock_back_s,
        )

    def _older(self, parquet: LandedParquet, expected: LandedSchema) -> Added | None:
        """The columns that a file of changes lacks and may: it was written before they were added."""
        missing = frozenset(expected.required.keys() - parquet.names)
        # Of columns that became known together, a file written between their additions has the first.
        known = [item.known_at for item in self._table.added if missing and missing <= item.columns]
        if self._file.kind is FileKind.LOAD or not known:
            return None
        return Added(missing, max(known)) if check_schema(parquet.schema, expected.lacking(missing)).passed else None

    def _take(self, landed: pa.RecordBatch, dtypes: dict[str, pl.DataType]) -> None:
        columns = self._table.columns
        frame = prepared(pl.DataFrame(landed), columns, self._last)
        counts = count_failures(frame, self._rules)
        if any(counts):
            self._explain(frame, counts, dtypes)
        self._counts = [before + now for before, now in zip(self._counts, counts, strict=True)]
        if not any(self._counts):
            self._count_changes(frame)
            at = frame[INSTANT].to_arrow()
            rows = normalise(landed, at, self._table, file=self._file, first_row=self._rows, batch=self._batch)
            self._output.write(rows)
        if frame.height:
            self._note_latest(frame)
            self._last = (frame[columns.seq][-1] or "" if columns.seq else "", frame[columns.timestamp][-1] or "")
        self._rows += landed.num_rows

    def _note_latest(self, frame: pl.DataFrame) -> None:
        found = frame[INSTANT].max()
        if isinstance(found, datetime):
            at = found.replace(tzinfo=UTC)
            self._latest = max(self._latest or at, at)

    def _count_changes(self, frame: pl.DataFrame) -> None:
        columns = self._table.columns
        if self._file.kind is FileKind.LOAD:
            self._ops[LOAD_OP] += frame.height
            return
        for op, count in frame[columns.op].value_counts().rows():
            self._ops[op] += count
        self._steps_back += steps_back(frame, columns)
        steps, seconds = clock_steps_back(frame, columns)
        self._clock_steps += steps
        self._clock_back_s = max(self._clock_back_s, seconds)

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
        if not broken:
            expected, found = f"{len(indexes)} rules", f"{self._rows} rows, none fails"
            if group is Group.ORDER:
                expected, found = self._order(judged=bool(indexes))
            return CheckOutcome(group, passed=True, expected=expected, found=found)
        rules = [self._broken(index) for index in broken]
        named = {row: key for rule in rules for row, key in zip(rule.rows, rule.key_hashes, strict=True)}
        rows = sorted(named)[:MAX_REPORTED_ROWS]
        return CheckOutcome(
            group=group,
            passed=False,
            expected="; ".join(f"{rule.column}: {rule.expected}" for rule in rules),
            found="; ".join(f"{rule.column}: {rule.found}" for rule in rules),
            failing=max(rule.failing for rule in rules),
            rows=tuple(rows),
            key_hashes=tuple(named[row] for row in rows),
            broken=tuple(rules),
        )

    def _broken(self, index: int) -> BrokenRule:
        rule, named = self._rules[index], self._failing.get(index, [])
        return BrokenRule(
            rule=rule.kind,
            column=rule.column,
            expected=rule.expected,
            found=f"{self._counts[index]} of {self._rows} rows fail",
            failing=self._counts[index],
            rows=tuple(row for row, _ in named),
            key_hashes=tuple(key for _, key in named),
        )

    def _order(self, *, judged: bool) -> tuple[str, str]:
        """What is expected of the order of rows, and found: the words of a group that may pass with steps back."""
        if self._file.kind is FileKind.LOAD:
            return "no order in a full load", f"{self._rows} rows"
        if self._table.columns.seq is None:
            return "no order: the source gives no sequence", f"{self._rows} rows, ordered by time, file and row"
        told = f"{self._rows} rows, {self._steps_back} not above the row before"
        if self._clock_steps:
            told += f"; commit time goes back {self._clock_steps} times, by {self._clock_back_s:.6f} s at most"
        return "sequence rises from row to row" if judged else "any order: the source promises none in a file", told

    def _limit(self, found: str) -> FileVerdict:
        return rejected(Reason.RESOURCE_LIMIT, beyond_limits(found), self._rows)


def key_hash(values: Sequence[object]) -> str:
    """Sixteen hexadecimal digits of the digest of a key's values."""
    return hashlib.sha256("\x1f".join(repr(value) for value in values).encode(errors="surrogatepass")).hexdigest()[:16]


def _readable(problem: str | None = None) -> CheckOutcome:
    expected = "a whole Parquet file, every page of it readable"
    broken = () if problem is None else (BrokenRule("whole", "", expected, problem),)
    return CheckOutcome(Group.READABLE, problem is None, expected, problem or "read in full", broken=broken)
