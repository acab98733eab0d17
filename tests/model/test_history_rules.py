"""Each rule of the history by one small example."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import nan

import pytest

from dms_assets.model.change_log import Row, followed_load, loads_in_order, log_place
from dms_assets.model.history import OPEN_END, DuplicateKeyError, as_of, current, fold, history
from dms_assets.model.load import Load
from dms_assets.model.names import TableName

START = datetime(2026, 1, 1, tzinfo=UTC)
Shown = list[tuple[object, float, float | None]]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def change(
    op: str,
    value: object,
    seconds: float,
    seq: int | None,
    *,
    name: str = "",
    stream: int = 1,
    key: int = 1,
    file: str = "f",
    batch: int = 1,
) -> Row:
    """A change; those with one name are copies of each other."""
    sequence = None if seq is None else f"{seq:035d}"
    identity = (name or f"{key} {op} {value} {seconds} {seq} {file}").encode()
    row = seq or 0
    return Row((key,), op, (key, value), stream, sequence, at(seconds), None, None, file, row, identity, batch)


def load(seconds: float, seq: int = 0, *, stream: int = 1) -> Load:
    name, boundary = f"{stream}-{seconds}", f"{seq:035d}" if seq else ""
    began, ended, table = at(seconds), at(seconds + 1), TableName("app", "t")
    return Load(name, table, stream, began, boundary, began, ended, one_snapshot=True, rows=1, files=1)


def loaded(of: Load, value: object, *, key: int = 1, file: str = "LOAD") -> Row:
    identity = f"{of.load_id} {key}".encode()
    return Row((key,), "L", (key, value), of.stream, None, of.boundary_at, None, of.load_id, file, key, identity, 1)


def states(rows: list[Row], loads: list[Load] | None = None, key: int = 1) -> Shown:
    """(value, from, to) of one key in seconds, `to` None while current."""
    found = [row for row in history(fold({}, rows).values(), loads or []) if row.key == (key,)]
    assert all((row.valid_to == OPEN_END) == row.is_current for row in found)
    return [
        (row.content[1], (row.valid_from - START).total_seconds(), None if row.is_current else
         (row.valid_to - START).total_seconds())
        for row in found
    ]  # fmt: skip


def test_versions_follow_each_other() -> None:
    rows = [change("I", "a", 1, 1), change("U", "b", 2, 2), change("D", None, 3, 3)]
    assert states(rows) == [("a", 1, 2), ("b", 2, 3)]
    shown = history(fold({}, rows).values(), [])
    assert current(shown) == {}
    assert as_of(shown, at(2)) == {(1,): (1, "b")}
    assert as_of(shown, at(0)) == as_of(shown, at(3)) == {}


def test_the_sequence_decides_and_not_the_order_of_arrival() -> None:
    assert states([change("U", "b", 1, 2), change("I", "a", 1, 1)]) == [("b", 1, None)]


def test_without_sequences_time_file_and_row_decide() -> None:
    rows = [change("U", "b", 1, None, file="g"), change("I", "a", 1, None, file="f"), change("U", "c", 2, None)]
    assert states(rows) == [("b", 1, 2), ("c", 2, None)]


def test_states_of_no_length_are_dropped_before_neighbours_are_merged() -> None:
    rows = [change("I", "a", 1, 1), change("U", "b", 2, 2), change("U", "a", 2, 3)]
    assert states(rows) == [("a", 1, None)]


def test_a_delete_and_an_insert_at_once_leave_no_gap() -> None:
    rows = [change("I", "a", 1, 1), change("D", None, 2, 2), change("I", "b", 2, 3)]
    assert states(rows) == [("a", 1, 2), ("b", 2, None)]


def test_a_delete_of_nothing_is_nothing_and_an_update_of_nothing_inserts() -> None:
    assert states([change("D", "z", 1, 1), change("U", "a", 2, 2)]) == [("a", 2, None)]


def test_the_content_of_deletes_is_not_compared() -> None:
    rows = [change("I", "a", 1, 1), change("D", "a", 2, 2), change("D", "b", 3, 3), change("I", "a", 4, 4)]
    assert states(rows) == [("a", 1, 2), ("a", 4, None)]


@pytest.mark.parametrize(("one", "other"), [(nan, float("nan")), (0.0, -0.0), (None, None), ("", "")])
def test_values_that_sql_calls_equal_are_one_state(one: object, other: object) -> None:
    assert len(states([change("I", one, 1, 1), change("U", other, 2, 2)])) == 1


def test_null_is_not_empty() -> None:
    assert states([change("I", "", 1, 1), change("U", None, 2, 2)]) == [("", 1, 2), (None, 2, None)]


def test_the_clock_of_a_key_never_goes_back() -> None:
    rows = [change("I", "a", 5, 1), change("U", "b", 3, 2), change("U", "c", 6, 3)]
    assert states(rows) == [("b", 5, 6), ("c", 6, None)]


def test_of_copies_the_first_gives_the_place_and_the_last_the_state() -> None:
    sent = [change("I", "a", 1, 1, name="t1"), change("U", "b", 1, 2, name="t1"), change("U", "c", 2, 3, name="t2")]
    again = [change("I", "a", 1, 4, name="t1"), change("U", "b", 1, 5, name="t1"), change("U", "c", 2, 6, name="t2")]
    assert states(sent) == states([*sent, *again]) == states([*again, *sent]) == [("b", 1, 2), ("c", 2, None)]


def test_a_load_closes_the_keys_it_has_not() -> None:
    first, second = load(0), load(10, stream=2)
    rows = [loaded(first, "a"), loaded(first, "x", key=2), loaded(second, "a")]
    assert states(rows, [first, second]) == [("a", 0, None)]
    assert states(rows, [first, second], key=2) == [("x", 0, 10)]


def test_a_load_of_no_rows_closes_every_key() -> None:
    first, second = load(0), load(10, stream=2)
    assert states([loaded(first, "a")], [first, second]) == [("a", 0, 10)]


def test_changes_follow_the_last_load_at_or_before_them_in_their_stream() -> None:
    began, reload, next_stream = load(0), load(10, seq=100), load(20, stream=2)
    loads = loads_in_order([next_stream, reload, began])
    follows = {
        "before the boundary": (change("U", "a", 11, 99), began),
        "at the boundary": (change("U", "a", 9, 100), reload),
        "of a stream without a load": (change("U", "a", 9, 1, stream=3), None),
        "of the next stream": (change("U", "a", 9, 1, stream=2), next_stream),
        "without a sequence, before": (change("U", "a", 9, None), began),
        "without a sequence, at": (change("U", "a", 10, None), reload),
        "without a sequence, before the start of its stream": (change("U", "a", 1, None, stream=2), next_stream),
    }
    for what, (row, followed) in follows.items():
        assert followed_load(row, loads) == followed, what


def test_an_early_boundary_plays_changes_again_and_ends_right() -> None:
    """The load was read at 12, with "c"; its boundary is at 10. What came between shows until the load's end."""
    began, reload = load(0), load(10, seq=100)
    rows = [loaded(began, "a"), change("U", "b", 11, 110), change("U", "c", 12, 120), loaded(reload, "c")]
    assert states(rows, [began, reload]) == [("a", 0, 10), ("c", 10, 11), ("b", 11, 12), ("c", 12, None)]


def test_late_changes_of_an_earlier_stream_do_not_outlive_the_next_load() -> None:
    first, second = load(0), load(10, stream=2)
    rows = [loaded(first, "a"), loaded(second, "b"), change("U", "late", 9, 999, batch=7)]
    assert states(rows, [first, second]) == [("a", 0, 9), ("late", 9, 10), ("b", 10, None)]


def test_changes_wait_at_the_boundary_of_the_load_they_follow() -> None:
    """The source's clock is behind the one that stamped the boundary."""
    began = load(10)
    rows = [loaded(began, "a"), change("U", "b", 9, 1), change("I", "x", 9, 2, key=2)]
    assert states(rows, [began]) == [("b", 10, None)]
    assert states(rows, [began], key=2) == [("x", 10, None)]


def test_of_two_loads_with_one_boundary_the_later_started_counts() -> None:
    one, two = load(10, seq=100), load(11, seq=100)
    rows = [loaded(two, "b"), loaded(one, "a"), change("U", "c", 12, 100)]
    assert [row[0] for row in states(rows, [two, one])] == ["a", "b", "c"]


def test_a_key_twice_in_a_load_is_an_error() -> None:
    one = load(0)
    with pytest.raises(DuplicateKeyError, match="has one key in two rows"):
        fold({}, [loaded(one, "a"), loaded(one, "b", file="LOAD2")])


def test_rows_of_a_load_that_is_not_visible_are_an_error() -> None:
    with pytest.raises(ValueError, match="which is not a complete load"):
        log_place(loaded(load(0), "a"), [])


def test_a_limit_without_positions_a_clock_that_returns_to_an_instant_hides_a_change() -> None:
    """Transactions at 10, 5 and 10 again, no positions: the third cannot be told from the first, redelivered."""
    rows = [
        change("U", "a", 10, 1, name="10"),
        change("U", "b", 5, 2, name="5"),
        change("U", "c", 10, 3, name="10"),
    ]
    assert states(rows) == [("b", 10, None)]
