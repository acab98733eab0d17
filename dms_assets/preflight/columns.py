"""Findings about columns: what a value loses on its way, or whether it comes at all."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dms_assets.model.names import quote
from dms_assets.model.source_spec import TableSpec
from dms_assets.preflight import finding as f
from dms_assets.preflight.facts import Column, Extractor, Measured, Relation
from dms_assets.preflight.finding import Finding, Severity
from dms_assets.preflight.subject import (
    Subject,
    exclusion,
    identity_statement,
    kept_columns,
    qualified,
    yaml_text,
)

_REWRITES = "before the first load: the table is rewritten without a change in the log"
_LARGEST_LOB_KB = 102_400
_LOB_ROOM = 0.5
_AWS_DIGITS = 28
_DECIMAL_DIGITS = 38
_SPATIAL = {"geometry", "geography", "raster"}
_LARGE_OBJECTS = {"oid", "lo"}
_SAMPLED_LENGTH = 500
"""Longest value (bytes) up to which a row is hardly ever moved out of line, where the server cannot tell."""


def column_findings(subject: Subject) -> Iterator[Finding]:
    """All findings about columns."""
    for spec, relation in subject.tables():
        yield from _declared(spec, relation)
        yield from _generated(spec, relation)
        if relation.measuring_failed:
            yield _not_measured(relation)
        yield from _large_values(spec, relation)
        for column in kept_columns(spec, relation):
            measured = (relation.measured or {}).get(column.name, Measured(1))
            yield from _lob(subject, relation, column, measured)
            yield from _number(subject, relation, column, measured)
            yield from _time(relation, column, measured)
            yield from _type(subject, relation, column)


def _of(measured: Measured) -> str:
    return "all rows" if measured.part == 1 else f"a sample of {measured.part:.2%} of the rows"


def _declared(spec: TableSpec, relation: Relation) -> Iterator[Finding]:
    names = {column.name for column in relation.columns}
    key = relation.key.columns if relation.key else ()
    remove = "tables:\n  - name: {}\n    {}: # without {}"
    for entry in spec.exclude_columns:
        if entry.column in key or entry.column not in names:
            code, why = ("excluded_key", "it is part of the key, which every change is told by")
            if entry.column not in names:
                code, why = "excluded_unknown", "the table has no such column"
            yield Finding(
                code,
                Severity.ERROR,
                f"{relation.name}.{entry.column}",
                f"declared in exclude_columns, but {why}",
                (f.defs(remove.format(yaml_text(spec.name), "exclude_columns", entry.column)),),
                f.OURS,
            )
    for section, used in (("checks", [c.column for c in spec.checks]), ("classification", list(spec.classification))):
        for name in used:
            if name not in names:
                yield Finding(
                    "rule_of_unknown_column",
                    Severity.WARNING,
                    f"{relation.name}.{name}",
                    f"declared in {section}, but the table has no such column",
                    (f.defs(remove.format(yaml_text(spec.name), section, name)),),
                    f.OURS,
                )


def _generated(spec: TableSpec, relation: Relation) -> Iterator[Finding]:
    excluded = {entry.column for entry in spec.exclude_columns}
    key = relation.key.columns if relation.key else ()
    for column in relation.columns:
        if column.generated and column.name not in excluded and column.name not in key:
            yield Finding(
                "generated_column",
                Severity.NOTE,
                f"{relation.name}.{column.name}",
                "the column is generated: the log does not carry it, so it is left out of loads too; compute it "
                "downstream, and say so in the declaration",
                (f.defs(exclusion(spec.name, {column.name: "generated in the source"})),),
                f.LOGICAL_LIMITS,
            )


def _not_measured(relation: Relation) -> Finding:
    return Finding(
        "values_not_measured",
        Severity.NOTE,
        str(relation.name),
        f"the lengths of its values could not be measured: {relation.measuring_failed}",
        (),
        f.OURS,
    )


def _large_values(spec: TableSpec, relation: Relation) -> Iterator[Finding]:
    """An update carries no unchanged value that is stored outside its row, unless the whole old row is logged."""
    if relation.identity == "f" or relation.key is None:
        return
    large = [c for c in kept_columns(spec, relation) if c.toastable and (c.source.is_lob or _is_out(relation, c))]
    if not large:
        return
    out = [column for column in large if _is_out(relation, column)] if relation.toast_size else []
    names = ", ".join(column.name for column in out or large)
    fixes = (
        f.sql(identity_statement(relation, "FULL")),
        f.defs(exclusion(spec.name, {column.name: "too large to follow" for column in out or large})),
    )
    if out:
        measured = [(relation.measured or {})[column.name] for column in out]
        known = [m.out_of_line for m in measured if m.out_of_line is not None]
        counted = f" ({sum(known):,} values of {_of(measured[0])})" if known else ""
        yield Finding(
            "large_values_lost",
            Severity.ERROR,
            str(relation.name),
            f"values of {names} are stored outside their rows{counted}: an update that does not touch one does not "
            "carry it, and would write NULL over it",
            fixes,
            f.TOAST,
        )
    else:
        yield Finding(
            "large_values_possible",
            Severity.NOTE,
            str(relation.name),
            f"no row is over about 2 KB today; when one is, an update that does not touch {names} would write NULL "
            "over values stored outside the row",
            fixes,
            f.TOAST,
        )


def _is_out(relation: Relation, column: Column) -> bool:
    measured = (relation.measured or {}).get(column.name)
    if measured is None:
        return False
    if measured.out_of_line is not None:
        return measured.out_of_line > 0
    return (measured.longest or 0) > _SAMPLED_LENGTH


def _lob(subject: Subject, relation: Relation, column: Column, measured: Measured) -> Iterator[Finding]:
    if measured.longest is None:
        return
    # AWS DMS counts two bytes a character of text, four where it needs four: never more than twice its bytes.
    factor = 2 if subject.extractor is Extractor.AWS and column.source.type.name != "bytea" else 1
    needed, limit = math.ceil(measured.longest * factor / 1024), subject.spec.dms.lob_max_kb
    if needed <= limit * _LOB_ROOM:
        return
    leave_out = f.defs(exclusion(relation.name.table, {column.name: "longer than DMS can carry"}))
    wanted = min(2 * needed, _LARGEST_LOB_KB)
    too_long = needed > limit
    unfixable = needed > _LARGEST_LOB_KB or (wanted == limit and not too_long)
    yield Finding(
        "lob_too_long" if too_long else "lob_nearly_too_long",
        Severity.ERROR if too_long else Severity.WARNING,
        f"{relation.name}.{column.name}",
        f"the longest value of {_of(measured)} needs {needed:,} KB, the limit (lob_max_kb) is {limit:,} KB: "
        + ("the load stops there" if too_long else "little room is left, and a longer one stops the task"),
        (leave_out,) if unfixable else (f.defs(f"dms:\n  lob_max_kb: {wanted}"), leave_out),
        f.DMS_LOBS,
    )


def _number(subject: Subject, relation: Relation, column: Column, measured: Measured) -> Iterator[Finding]:
    kind, typmod = column.source.type.name, column.source.typmod
    if kind != "numeric" or typmod >= 0:
        return
    digits, scale = measured.digits or 0, measured.scale or 0
    whole = measured.part == 1 and measured.digits is not None and digits <= _DECIMAL_DIGITS
    table, name = qualified(relation.name), quote(column.name)
    alter = f"ALTER TABLE {table} ALTER COLUMN {name} TYPE numeric({_DECIMAL_DIGITS},{scale});"
    cut = subject.extractor is Extractor.AWS and digits > _AWS_DIGITS
    fixes: tuple[f.Fix, ...] = ()
    if whole:
        fixes = (f.sql(f"-- {_REWRITES}; later values with more places are rounded\n{alter}"),)
    elif cut:
        fixes = (f.defs(exclusion(relation.name.table, {column.name: "too many digits for a decimal"})),)
    yield Finding(
        "number_cut" if cut else "number_without_precision",
        Severity.ERROR if cut else Severity.NOTE,
        f"{relation.name}.{column.name}",
        f"numeric without precision (up to {digits} digits, {scale} after the point, in {_of(measured)}): "
        + (f"AWS DMS keeps {_AWS_DIGITS} digits of a change" if cut else "it travels as text, digit by digit"),
        fixes,
        f.DMS_POSTGRES,
    )


def _time(relation: Relation, column: Column, measured: Measured) -> Iterator[Finding]:
    kind, thing = column.source.type.name, f"{relation.name}.{column.name}"
    alter = f"ALTER TABLE {qualified(relation.name)} ALTER COLUMN {quote(column.name)} TYPE "
    if kind == "timetz":
        yield Finding(
            "time_zone_lost",
            Severity.WARNING,
            thing,
            "time with time zone: Parquet's time of day has no offset, it is lost",
            (
                f.sql(
                    f"-- {_REWRITES}; drops the offset in the source too, keeping UTC\n"
                    f"{alter}time(3) USING ({quote(column.name)} AT TIME ZONE 'UTC')::time(3);"
                ),
            ),
            f.DMS_S3,
        )
    if measured.finer_than_ms:
        yield Finding(
            "time_cut",
            Severity.WARNING,
            thing,
            "some times of day are finer than a millisecond, which is what DMS writes: the rest is cut",
            (
                f.sql(f"-- {_REWRITES}; rounds what is stored\n{alter}{kind}(3);"),
                f.defs(exclusion(relation.name.table, {column.name: "finer than a millisecond"})),
            ),
            f.DMS_S3,
        )


def _type(subject: Subject, relation: Relation, column: Column) -> Iterator[Finding]:
    thing, table = f"{relation.name}.{column.name}", relation.name.table
    if column.source.type.name in _LARGE_OBJECTS:
        yield Finding(
            "large_object",
            Severity.WARNING,
            thing,
            f"type {column.source_type}: if it names large objects, their content is not extracted, only the number",
            (f.defs(exclusion(table, {column.name: "large objects are not extracted"})),),
            f.DMS_POSTGRES,
        )
    if subject.extractor is Extractor.AWS and column.source.type.name in _SPATIAL:
        yield Finding(
            "type_not_supported",
            Severity.ERROR,
            thing,
            f"AWS DMS does not carry {column.source_type} to S3",
            (f.defs(exclusion(table, {column.name: "AWS DMS does not carry it"})),),
            f.DMS_ASSESSMENT,
        )
