"""Layout: boxes apart and in layers, lines that go down, along ways of their own or a shared one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, strategies as st

from graphs.drawing.layout import Layout, Line, lay_out

SIZE = (100.0, 40.0)


def laid(*links: str, bundles: str = "") -> Layout:
    """The layout of lines given as `ab`, all boxes of one size."""
    names = dict.fromkeys("".join(links))
    lines = [Line(link[0], link[1], bundles[place] if bundles else "") for place, link in enumerate(links)]
    return lay_out(dict.fromkeys(names, SIZE), lines)


def middle(layout: Layout, name: str) -> float:
    return layout.boxes[name].x + layout.boxes[name].width / 2


def test_nothing_is_as_large_as_nothing() -> None:
    layout = lay_out({}, [])
    assert (layout.width, layout.height, dict(layout.boxes)) == (0.0, 0.0, {})


def test_a_chain_is_one_straight_line() -> None:
    layout = laid("ab", "bc", "cd")
    assert len({middle(layout, name) for name in "abcd"}) == 1
    assert all(len({x for x, _ in route}) == 1 for route in layout.routes)
    assert [layout.boxes[name].y for name in "abcd"] == sorted(layout.boxes[name].y for name in "abcd")


def test_what_has_two_children_stands_between_them() -> None:
    layout = laid("ab", "ac")
    assert middle(layout, "b") < middle(layout, "a") < middle(layout, "c")
    assert layout.boxes["b"].y == layout.boxes["c"].y


def test_boxes_are_ordered_so_that_lines_need_not_cross() -> None:
    layout = laid("ad", "bc", "ae", "bf")  # written so that c would stand between d and e
    order = sorted("cdef", key=lambda name: middle(layout, name))
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset("de"), frozenset("cf")}
    assert ("d" in order[:2]) == (middle(layout, "a") < middle(layout, "b"))


def test_a_source_stands_just_above_its_first_reader() -> None:
    layout = laid("ab", "bc", "xc")
    assert layout.boxes["x"].y == layout.boxes["b"].y


def test_long_lines_pass_beside_the_boxes_between() -> None:
    layout = laid("ab", "bc", "ac")
    box = layout.boxes["b"]
    passing = [x for x, y in layout.routes[2] if box.y <= y <= box.y + box.height]
    assert passing
    assert all(x < box.x or x > box.x + box.width for x in passing)


def test_lines_of_a_bundle_share_their_way_and_others_do_not() -> None:
    together, apart = laid("ab", "bc", "cd", "ac", "ad"), laid("ab", "bc", "cd", "ac", "ad", bundles="--xxy")
    assert together.routes[3][:3] == together.routes[4][:3]
    assert apart.routes[3][:3] != apart.routes[4][:3]
    twice = lay_out(dict.fromkeys("ab", SIZE), [Line("a", "b", "data"), Line("a", "b", "condition")])
    assert twice.routes[0] != twice.routes[1]


def test_circles_are_broken_by_turning_a_line() -> None:
    layout = laid("ab", "bc", "ca")
    assert layout.turned == {2}
    assert layout.routes[2][0][1] > layout.routes[2][-1][1]
    assert laid("aa").routes == [[]]


LINKS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25)


@given(st.dictionaries(st.integers(0, 9), st.tuples(st.floats(10, 300), st.floats(10, 200)), min_size=10, max_size=10), LINKS)
def test_any_lines_go_from_box_to_box_and_no_box_is_on_another(
    sizes: dict[Any, tuple[float, float]], links: list[tuple[int, int]]
) -> None:
    layout = lay_out(sizes, [Line(*link) for link in links])
    boxes = list(layout.boxes.values())
    for place, a in enumerate(boxes):
        assert a.x >= -0.01
        assert a.x + a.width <= layout.width + 0.01
        assert a.y >= -0.01
        assert a.y + a.height <= layout.height + 0.01
        for b in boxes[:place]:
            apart = a.x + a.width <= b.x + 0.01 or b.x + b.width <= a.x + 0.01 or a.y + a.height <= b.y or b.y + b.height <= a.y
            assert apart
    for place, ((source, target), route) in enumerate(zip(links, layout.routes, strict=True)):
        if source == target:
            assert route == []
            continue
        upper, lower = (target, source) if place in layout.turned else (source, target)
        points = route[::-1] if place in layout.turned else route
        above, below = layout.boxes[upper], layout.boxes[lower]
        assert points[0][1] == pytest.approx(above.y + above.height)
        assert points[-1][1] == pytest.approx(below.y)
        assert above.x <= points[0][0] <= above.x + above.width
        assert below.x <= points[-1][0] <= below.x + below.width
        assert all(one[1] <= other[1] + 0.01 for one, other in pairwise(points))
