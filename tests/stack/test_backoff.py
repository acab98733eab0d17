"""Restarts come soon at first, then ever more rarely, and never end."""

from itertools import accumulate, repeat

from dms_assets.stack.backoff import FAILING_AFTER, LONGEST_PAUSE_S, STABLE_AFTER_S, Backoff


def test_pauses_double_up_to_the_longest_and_stay_there() -> None:
    rows = list(accumulate(repeat(1.0, 12), lambda backoff, ran: backoff.died(ran), initial=Backoff()))[1:]
    assert [row.pause_s for row in rows[:5]] == [1, 2, 4, 8, 16]
    assert rows[-1].pause_s == rows[-2].pause_s == LONGEST_PAUSE_S
    assert [row.failing for row in rows].index(True) == FAILING_AFTER - 1


def test_a_process_that_ran_for_a_while_begins_anew() -> None:
    tired = Backoff(deaths=9)
    assert tired.failing
    assert tired.died(STABLE_AFTER_S) == Backoff(1)
    assert tired.died(STABLE_AFTER_S - 0.1) == Backoff(10)
