"""Paths: the table of how executions are named, and that no two share a name."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from graphs.paths import child_frame, escape, node_path, opener, root_node, split_frame, split_path, unescape

IDS = st.text(min_size=1, max_size=6)
TURNS = st.integers(0, 12)


@pytest.mark.parametrize(
    ("frame", "node", "path"),
    [
        ("", "chat", "chat"),
        ("#2", "chat", "chat#2"),
        ("rows[3]/", "llm", "rows[3]/llm"),
        ("rows[3]/#1", "llm", "rows[3]/llm#1"),
        ("plan!1/", "step", "plan!1/step"),
        ("plan!1/#4", "step", "plan!1/step#4"),
        ("a#2/", "b", "a#2/b"),
        ("a[0]#2!3/b/#1", "c", "a[0]#2!3/b/c#1"),
        ("", "a%2Fb", "a%2Fb"),
    ],
)
def test_the_path_of_a_node_in_a_frame(frame: str, node: str, path: str) -> None:
    assert node_path(frame, node) == path


@pytest.mark.parametrize(
    ("path", "row", "tries", "frame"),
    [
        ("plan", None, 0, "plan/"),
        ("plan", None, 2, "plan!2/"),
        ("rows", 3, 0, "rows[3]/"),
        ("rows#2", 3, 1, "rows[3]#2!1/"),
        ("a/b#2", None, 0, "a/b#2/"),
        ("a[1]/rows", 0, 0, "a[1]/rows[0]/"),
    ],
)
def test_the_frame_that_a_nesting_node_opens(path: str, row: int | None, tries: int, frame: str) -> None:
    assert child_frame(path, row=row, tries=tries) == frame


@given(st.text())
def test_an_escaped_id_holds_nothing_reserved_and_comes_back(node: str) -> None:
    escaped = escape(node)
    assert not set(escaped) & set("/[]#!")
    assert unescape(escaped) == node


def test_only_what_is_reserved_is_escaped() -> None:
    assert escape("a/b[c]#d!e%f") == "a%2Fb%5Bc%5D%23d%21e%25f"
    assert escape("süß 1.2-3_x") == "süß 1.2-3_x"


frames = st.recursive(
    st.just(""),
    lambda inner: st.builds(
        lambda frame, node, row, tries, turn, own: (
            child_frame(node_path(frame, escape(node)), row=row, tries=tries) + (f"#{turn}" if turn else "")
        ),
        inner,
        IDS,
        st.none() | TURNS,
        TURNS,
        TURNS,
        TURNS,
    ),
    max_leaves=3,
)


@given(frames, IDS)
def test_a_path_gives_back_its_frame_and_its_node(frame: str, node: str) -> None:
    assert split_path(node_path(frame, escape(node))) == (frame, node)


@given(st.lists(st.tuples(frames, IDS), min_size=2, max_size=2, unique=True))
def test_two_executions_never_share_a_path_nor_a_path_a_frames_name(pairs: list[tuple[str, str]]) -> None:
    first, second = (node_path(frame, escape(node)) for frame, node in pairs)
    assert first != second
    assert first not in {frame for frame, _ in pairs}


@pytest.mark.parametrize(
    ("name", "base", "turn"), [("", "", 0), ("#2", "", 2), ("a[1]#2/", "a[1]#2/", 0), ("a#2/#31", "a#2/", 31)]
)
def test_a_frames_name_is_split_from_its_turn(name: str, base: str, turn: int) -> None:
    assert split_frame(name) == (base, turn)


@pytest.mark.parametrize("path", ["a%2Fb", "a%2Fb#2", "a%2Fb[3]/c", "a%2Fb!1/c/d#4"])
def test_the_root_graphs_node_that_a_path_lies_in(path: str) -> None:
    assert root_node(path) == "a/b"


@pytest.mark.parametrize(
    ("path", "outer"),
    [
        ("a", ""),
        ("a#2", ""),
        ("a/b", "a"),
        ("a#1/b#2", "a#1"),
        ("rows[3]/b", "rows"),
        ("rows[3]#1!2/b", "rows#1"),
        ("x/rows[3]!1/b", "x/rows"),
        ("a/b%2Fc/d", "a/b%2Fc"),
    ],
)
def test_a_path_in_a_nested_graph_has_the_node_that_opened_it(path: str, outer: str) -> None:
    assert opener(path) == outer
