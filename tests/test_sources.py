"""Declarations: good ones are read, mistakes are named by file, line, field and remedy."""

from pathlib import Path

import pytest

from dms_assets.sources import InvalidSourceError, find_source, read_source, read_sources

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
        ("isin: [OFFICE, HOME]", "", 11, "tables[1].checks[0]", "give isin, ge, le or matches"),
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


def test_an_unknown_source_is_told_with_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(LookupError, match=r"no source 'prison'.*there are: probation"):
        find_source("prison", tmp_path)
