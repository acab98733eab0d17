"""The scorecard itself: what counts as passed, what a broken row does, and that the page is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.scorecard.figure import Budget, Outcome, Row
from tests.scorecard.report import BEGIN, END, document, measured, write
from tests.scorecard.run import all_rows, chosen, run


def row(outcome: Outcome | Exception, name: str = "R1") -> Row:
    def measure(_: Budget) -> Outcome:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return Row(name, "Is it so?", "always", 10, 1, measure)


GOOD = Outcome("3 of 3", holds=True, observed={"kills": 3}, seeds=[1, 2])


@pytest.mark.parametrize(
    ("outcome", "passed", "says"),
    [
        (GOOD, True, "3 of 3"),
        (Outcome("2 of 3", holds=False, observed={"kills": 3}), False, "2 of 3"),
        (Outcome("3 of 3", holds=True, observed={"kills": 0}), False, "3 of 3 (never took place: kills)"),
        (Outcome("3 of 3", holds=True, observed={}), False, "3 of 3"),
        (RuntimeError("no disk\nat all"), False, "broke: RuntimeError: no disk"),
    ],
)
def test_what_counts_as_passed(outcome: Outcome | Exception, passed: bool, says: str) -> None:
    (figure,) = run([row(outcome)], 1, quick=False)
    assert figure.passed is passed
    assert measured(figure) == says


def test_a_row_that_breaks_leaves_the_others() -> None:
    figures = list(run([row(ValueError("x")), row(GOOD, "R2")], 1, quick=True))
    assert [figure.passed for figure in figures] == [False, True]
    assert document(figures, quick=True, seed=1)["passed"] is False


def _dies(_: Budget) -> Outcome:
    os._exit(3)


def _lives(budget: Budget) -> Outcome:
    return Outcome(str(os.getpid()), holds=True, observed={"folders": int(budget.folder.is_dir())})


def test_rows_side_by_side_have_processes_of_their_own_and_one_that_dies_leaves_the_others() -> None:
    rows = [Row(f"R{number}", "?", "!", number, None, _lives, alone=number == 1) for number in (1, 2, 3)]
    figures = {
        figure.row.id: figure for figure in run([*rows, Row("R4", "?", "!", 9, None, _dies)], 1, quick=False, jobs=2)
    }
    assert [figures[name].passed for name in ("R1", "R2", "R3", "R4")] == [True, True, True, False]
    assert measured(figures["R1"]) == str(os.getpid())
    assert len({measured(figures[name]) for name in ("R1", "R2", "R3")}) == 3
    assert measured(figures["R4"]).startswith("broke: its process died")


def test_rows_have_ids_of_their_own_and_come_in_order() -> None:
    ids = [found.id for found in all_rows()]
    assert len(set(ids)) == len(ids) > 0
    assert [int(name[1:]) for name in ids] == sorted(int(name[1:]) for name in ids)
    with pytest.raises(LookupError, match="no row R0; there are R"):
        chosen(["R0"], quick=False)


def test_the_reduced_run_fits_into_five_minutes() -> None:
    assert sum(found.quick_seconds or 0 for found in chosen([], quick=True)) <= 300


def test_the_page_is_kept_around_the_figures_and_figures_that_were_not_measured_again(tmp_path: Path) -> None:
    page, data = tmp_path / "reliability.md", tmp_path / "scorecard.json"
    page.write_text(f"# Promises\n{BEGIN}\nold\n{END}\nlast words\n", encoding="utf-8")
    write(list(run([row(GOOD), row(GOOD, "R10")], 7, quick=False)), page, data, seed=7)
    write(list(run([row(RuntimeError("no"), "R2"), row(GOOD)], 8, quick=False)), page, data, seed=8)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# Promises\n{BEGIN}\nMeasured ")
    assert "| R1 | Is it so? | always | 3 of 3 | 3 kills | 8 | " in text
    assert text.index("| R1 |") < text.index("| R2 |") < text.index("| R10 |")
    assert text.endswith(f"{END}\nlast words\n")
    assert "old" not in text
    stored = json.loads(data.read_text(encoding="utf-8"))
    assert [(entry["id"], entry["first_seed"], entry["passed"]) for entry in stored["figures"]] == [
        ("R1", 8, True),
        ("R2", 8, False),
        ("R10", 7, True),
    ]
    assert stored["passed"] is False
