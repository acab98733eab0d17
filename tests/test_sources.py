"""Declarations: good ones are read, mistakes are named by file, line, field and remedy."""

from datetime import timedelta
from pathlib import Path

import pytest

from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.sources import InvalidSourceError, check_problems, find_source, read_source, read_sources

GOOD = """\
type: dms_assets.DmsSource
attributes:
  name: probation
  engine: postgres
  connection: {secret: probation/dms}
  schema: probation
  tables:
    - offender
    - name: contact
      exclude_columns: [photograph]
      checks: [{column: kind, isin: [OFFICE, HOME]}]
"""


def write(folder: Path, text: str, name: str = "probation") -> Path:
    file = folder / name / "defs.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_a_good_declaration_is_read(tmp_path: Path) -> None:
    spec = read_source(write(tmp_path, GOOD))
    assert [str(name) for name in spec.table_names] == ["probation.offender", "probation.contact"]
    assert spec.tables[1].exclude_columns[0].column == "photograph"
    assert spec.folder == "probation"


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "told"),
    [
        ("engine: postgres", "engine: postgre", 4, "engine", "use one of"),
        ("exclude_columns", "exclude_colums", 10, "tables[1].exclude_colums", "known here: name, exclude_columns"),
        ("isin: [OFFICE, HOME]", "", 11, "tables[1].checks[0]", "give one or more of not_null, isin, ge"),
        ("isin: [OFFICE, HOME]", "isin: []", 11, "tables[1].checks[0]", "name one or more in isin"),
        ("isin: [OFFICE, HOME]", "isin: [2026-01-01]", 11, "tables[1].checks[0].isin[0]", "write dates with ge"),
        ("isin: [OFFICE, HOME]", "ge: abc", 11, "tables[1].checks[0].ge", "no number and no date; write"),
        ("isin: [OFFICE, HOME]", "ge: .nan", 11, "tables[1].checks[0].ge", "no number and no date; write"),
        ("isin: [OFFICE, HOME]", "ge: 2, le: 1", 11, "tables[1].checks[0]", "no value between 2 and 1; exchange"),
        ("isin: [OFFICE, HOME]", "gt: 1, lt: 1", 11, "tables[1].checks[0]", "no value between 1 and 1; exchange"),
        ("isin: [OFFICE, HOME]", "ge: 1, gt: 1", 11, "tables[1].checks[0]", "both ge and gt; keep one"),
        ("isin: [OFFICE, HOME]", "ge: 1, le: 2026-01-01", 11, "tables[1].checks[0]", "use one of the two"),
        ("isin: [OFFICE, HOME]", "ge: 2026-01-02, lt: 2026-01-01T12:00:00", 11, "tables[1].checks[0]", "exchange or"),
        ("isin: [OFFICE, HOME]", "min_length: 3, max_length: 2", 11, "tables[1].checks[0]", "let min_length be"),
        ("isin: [OFFICE, HOME]", "matches: '('", 11, "tables[1].checks[0].matches", "is not a pattern"),
        ("isin: [OFFICE, HOME]", "regex: a", 11, "tables[1].checks[0].regex", "known here: column, not_null, isin"),
        ("exclude_columns: [photograph]", "freshness: soon", 10, "tables[1].freshness", "such as 30m, 2h or 1d"),
        ("exclude_columns: [photograph]", "freshness: 0h", 10, "tables[1].freshness", "such as 30m, 2h or 1d"),
        ("exclude_columns: [photograph]", "on_quarantine: go", 10, "tables[1].on_quarantine", "'hold' or 'continue'"),
        ("- offender", "- contact", 7, "tables", "declared twice"),
        ("- offender", "- Offender", 8, "tables[0].name", "rename it in the source"),
        ("  schema: probation\n", "", 3, "schema", "add it"),
        ("dms_assets.DmsSource", "dms_assets.Source", 1, "type", "write `type: dms_assets.DmsSource`"),
        ("tables:", "tables: [", 8, "YAML", "correct the syntax"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, line: int, field: str, told: str) -> None:
    assert old in GOOD
    file = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(InvalidSourceError) as caught:
        read_source(file)
    (problem,) = caught.value.problems
    assert (problem.file, problem.field) == (file, field)
    assert told in str(problem)
    assert problem.line == line


def test_freshness_is_declared_for_a_source_and_for_a_table(tmp_path: Path) -> None:
    spec = read_source(write(tmp_path, GOOD.replace("exclude_columns: [photograph]", "freshness: 2 h")))
    limits = {str(name): spec.freshness_limit(name) for name in spec.table_names}
    assert limits == {"probation.offender": timedelta(hours=1), "probation.contact": timedelta(hours=2)}
    wide = read_source(write(tmp_path / "wide", GOOD.replace("  schema:", "  freshness: 1d\n  schema:")))
    assert {wide.freshness_limit(name) for name in wide.table_names} == {timedelta(days=1)}


def test_a_check_that_does_not_fit_its_table_is_named_with_its_line(tmp_path: Path) -> None:
    checks = "checks:\n        - {column: kind, isin: [OFFICE, HOME]}\n        - {column: kind, ge: 1}\n"
    checks += "        - {column: knd, isin: [OFFICE]}\n"
    text = GOOD.replace("checks: [{column: kind, isin: [OFFICE, HOME]}]\n", checks)
    file = write(tmp_path, text)
    spec = read_source(file)
    name = TableName("probation", "contact")
    kind = ColumnMetadata("kind", LogicalType.parse("string"), "text")
    problems = check_problems(file, spec, {name: TableMetadata(name, (kind,))})
    assert [(problem.line, problem.field) for problem in problems] == [
        (13, "tables[1].checks[1]"),
        (14, "tables[1].checks[2]"),
    ]
    assert str(problems[0]).endswith("the column is string, no number; use isin, matches, min_length or max_length")
    assert "no column 'knd' to check; correct the name, known are: kind" in str(problems[1])
    assert check_problems(file, spec, {}) == []


def test_one_bad_declaration_spoils_no_other(tmp_path: Path) -> None:
    good = write(tmp_path, GOOD)
    bad = write(tmp_path, GOOD.replace("postgres", "db3"), "old")
    sources, problems = read_sources(tmp_path)
    assert list(sources) == [good]
    assert list(problems) == [bad]


def test_two_sources_of_one_name_are_both_refused(tmp_path: Path) -> None:
    files = {write(tmp_path, GOOD), write(tmp_path, GOOD, "copy")}
    sources, problems = read_sources(tmp_path)
    assert not sources
    assert set(problems) == files


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (("a_b", "c", "t", "x"), ("a", "b_c", "t", "y"), "makes 'a_b_c_validated' of source, schema and table"),
        (("a", "b", "c__d", "x"), ("a_b", "c", "d", "y"), ""),
        (("a", "b__c", "d", "x"), ("a", "b", "c__d", "y"), "is 'a'"),
        (("a", "b", "c_b__t", "x"), ("a_b__c", "b", "t", "y"), "makes 'a_b__c_b__t"),
        (("a", "s", "t", "x"), ("b", "s", "t", "x"), "takes the files below 'x/'"),
        (("a", "s", "t", "x"), ("b", "s", "t", "x/y"), "takes the files below 'x"),
        (("a", "s", "t", "x"), ("b", "s", "t", "xy"), ""),
        (("a", "s", "t", "''"), ("b", "s", "t", "x"), "takes the files below"),
    ],
)
def test_sources_that_would_share_anything_are_both_refused(
    tmp_path: Path, one: tuple[str, ...], other: tuple[str, ...], told: str
) -> None:
    for place, (name, schema, table, folder) in {"one": one, "other": other}.items():
        names = f"  name: {name}\n  schema: {schema}\n  tables: [{table}]\n  dms: {{folder: {folder}}}\n"
        rest = "  engine: postgres\n  connection: {secret: s}\n"
        write(tmp_path, f"type: dms_assets.DmsSource\nattributes:\n{names}{rest}", place)
    sources, problems = read_sources(tmp_path)
    assert (len(sources), len(problems)) == ((0, 2) if told else (2, 0))
    assert all(told in str(problem) for problem in problems.values())


def test_an_unknown_source_is_told_with_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(LookupError, match=r"no source 'prison'.*there are: probation"):
        find_source("prison", tmp_path)
