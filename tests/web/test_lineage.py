from __future__ import annotations

from dms_assets.web.lineage import Column, LineageGraph, Made

SOURCE, CURATED, MART, DASHBOARD = ("s", "source", "t"), ("s", "curated", "t"), ("d", "mart"), ("d", "board")
_MADE: dict[tuple[str, ...], Made] = {
    SOURCE: {},
    CURATED: {"id": [Column(SOURCE, "id")], "name": [Column(SOURCE, "first"), Column(SOURCE, "last")]},
    MART: {
        "who": [Column(CURATED, "name"), Column(CURATED, "id"), Column(CURATED, "name")],
        "rows": [],
    },
    DASHBOARD: {"title": [Column(MART, "who"), Column(CURATED, "name")]},
}
GRAPH = LineageGraph(_MADE.get)


def test_a_column_goes_back_to_the_source_through_all_layers() -> None:
    assert GRAPH.origins(Column(MART, "who")) == (Column(SOURCE, "first"), Column(SOURCE, "id"), Column(SOURCE, "last"))
    assert GRAPH.direct(Column(MART, "who")) == (Column(CURATED, "name"), Column(CURATED, "id"))


def test_a_count_and_a_source_column_come_from_nothing() -> None:
    assert GRAPH.origins(Column(MART, "rows")) == ()
    assert GRAPH.origins(Column(SOURCE, "id")) == ()


def test_what_is_reached_in_two_ways_is_followed_once() -> None:
    step = GRAPH.steps(Column(DASHBOARD, "title"))
    mart, again = step.upstream
    assert [below.column for below in mart.upstream] == [Column(CURATED, "name"), Column(CURATED, "id")]
    assert (again.column, again.upstream) == (Column(CURATED, "name"), ())


def test_columns_know_who_uses_them() -> None:
    assert GRAPH.used_by(CURATED, [MART, DASHBOARD, ("unknown",)]) == {
        "name": (Column(DASHBOARD, "title"), Column(MART, "who")),
        "id": (Column(MART, "who"),),
    }


def test_nobody_said_is_not_the_same_as_nothing() -> None:
    assert GRAPH.of(("unknown",)) is None
    assert GRAPH.of(SOURCE) == {}


def test_a_circle_and_a_thousand_diamonds_end() -> None:
    circle = LineageGraph(lambda asset: {"c": [Column((str(1 - int(asset[0])),), "c")]})
    assert circle.origins(Column(("0",), "c")) == ()
    assert circle.steps(Column(("0",), "c")).upstream[0].upstream[0].upstream == ()

    def diamonds(asset: tuple[str, ...]) -> Made:
        below = int(asset[0]) - 1
        return {side: [Column((str(below),), "l"), Column((str(below),), "r")] for side in "lr"} if below >= 0 else {}

    assert LineageGraph(diamonds).origins(Column(("300",), "l")) == (Column(("0",), "l"), Column(("0",), "r"))
