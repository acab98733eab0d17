"""The page on reliability: each scenario has one row, and each proof that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from tests.scorecard.report import BEGIN, END

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "reliability.md"
ROWS = ROOT / "tests" / "scorecard" / "rows"
SCENARIOS = 96
BAR = re.compile(r"(?<!\\)\|")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
FIGURE = re.compile(r"\bR\d+\b")
WITHOUT = re.compile(r"(not proved|does not apply): \w+")


def text() -> str:
    """The page without the figures, which a program writes."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, "the scorecard writes between two marks"
    assert end, "the scorecard writes between two marks"
    return before + after


def scenarios() -> list[tuple[int, list[str]]]:
    """Number and further cells of each row below `## Scenarios`."""
    _, heading, section = text().partition("\n## Scenarios\n")
    assert heading
    rows = [[cell.strip() for cell in BAR.split(line)[1:-1]] for line in section.splitlines() if line.startswith("|")]
    return [(int(cells[0]), cells[1:]) for cells in rows if cells[0].isdigit()]


@cache
def functions(path: str) -> frozenset[str]:
    """The test functions of a module; none if there is no such file."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef))


def figures() -> set[str]:
    """The ids of the scorecard's rows, read and not imported."""
    calls = [
        node
        for file in ROWS.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Row"
    ]
    first = [call.args[0] if call.args else call.keywords[0].value for call in calls]
    return {node.value for node in first if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_each_scenario_has_one_row_in_order() -> None:
    assert [number for number, _ in scenarios()] == list(range(1, SCENARIOS + 1))


def test_each_row_says_what_happens_and_what_proves_it() -> None:
    for number, cells in scenarios():
        assert len(cells) == 3, f"{number}: a bar within a cell has a backslash before it"
        assert all(cells), f"{number}: a cell is empty"
        proof = cells[2]
        assert TEST.search(proof) or FIGURE.search(proof) or WITHOUT.search(proof), f"{number}: no proof"
        assert proof.count("tests/") == len(TEST.findall(proof)), f"{number}: a test is `tests/<path>.py::<name>`"


def test_each_test_that_is_named_exists() -> None:
    named = sorted(set(TEST.findall(text())))
    assert named
    assert [f"{path}::{name}" for path, name in named if name not in functions(path)] == []


def test_each_row_of_the_scorecard_that_is_named_exists() -> None:
    named = set(FIGURE.findall(text()))
    assert named
    assert sorted(named - figures()) == []


def test_what_is_not_there_would_be_noticed() -> None:
    assert "test_what_is_not_there_would_be_noticed" in functions("tests/docs/test_reliability_page.py")
    assert "test_nothing" not in functions("tests/docs/test_reliability_page.py")
    assert functions("tests/docs/no_such_file.py") == frozenset()
    assert "R7" in figures()
    assert "R700" not in figures()
