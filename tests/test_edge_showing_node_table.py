from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from edge.showing.node_table import NodeRow, duration, fold, node_table, size

ROWS = [
    NodeRow("fetch", "edge", "completed", why="reads local files", by="fileReadAgent", ms=98),
    NodeRow("triage", "edge", "completed", why="smollm2-135m is here", by="smollm2-135m", ms=2310, tokens=68),
    NodeRow(
        "analyse", "cloud", "completed", why="needs qwen2.5-32b", by="qwen2.5-32b", ms=6100, tokens=412, up=12_345, down=3_100
    ),
    NodeRow("merge", "cloud", "waiting", why="follows analyse, saves a round trip"),
]


def test_columns_are_aligned_and_numbers_stand_on_the_right() -> None:
    assert node_table(ROWS, width=140) == (
        "node     place  why                                  by              time  tokens           up/down  state\n"
        "fetch    edge   reads local files                    fileReadAgent  98 ms       -                 -  completed\n"
        "triage   edge   smollm2-135m is here                 smollm2-135m   2.3 s      68                 -  completed\n"
        "analyse  cloud  needs qwen2.5-32b                    qwen2.5-32b    6.1 s     412  12.3 kB / 3.1 kB  completed\n"
        "merge    cloud  follows analyse, saves a round trip  -                  -       -                 -  waiting\n"
    )


def test_a_very_narrow_terminal_keeps_what_tells_most() -> None:
    rows = [
        NodeRow("gist", "edge", "completed", "small is here", "small", 1300, 20, 1100, 0),
        NodeRow("answer", "cloud", "suspended"),
    ]
    heads = [node_table(rows, width=width).splitlines()[0].split() for width in (79, 50, 36, 12)]
    assert heads == [
        ["node", "place", "why", "by", "time", "tokens", "up/down", "state"],
        ["node", "place", "time", "tokens", "state"],
        ["node", "place", "time", "state"],
        ["node", "place", "state"],
    ]
    assert all(len(line) <= 50 for line in node_table(rows, width=50).splitlines())


def test_a_narrow_terminal_shortens_the_reason_and_keeps_the_rest() -> None:
    table = node_table(ROWS, width=100)
    assert max(map(len, table.splitlines())) == 100
    assert "follows analyse, saves a…" in table
    assert "12.3 kB / 3.1 kB" in table
    assert "fileReadAgent" in table


def test_columns_where_nothing_stands_are_left_out() -> None:
    assert node_table([NodeRow("a", "edge", "completed")]) == "node  place  state\na     edge   completed\n"


def test_no_nodes_no_table() -> None:
    assert node_table([]) == ""


def test_a_degraded_result_says_so() -> None:
    table = node_table([NodeRow("a", "edge", "completed", degraded="no worker was reached")])
    assert "completed, degraded: no worker was reached" in table


def test_the_rows_of_a_map_are_one_line_that_counts_them() -> None:
    rows = [NodeRow("rows", "edge", "executing", why="maps here")]
    for index in range(20):
        done = "completed" if index < 7 else "executing"
        rows += [
            NodeRow(f"rows[{index}]/read", "edge", "completed", ms=5, tokens=1),
            NodeRow(f"rows[{index}]/sum", "cloud", done, by="big", tokens=10, up=100, down=10),
        ]
    (row,) = fold(rows)
    assert row == NodeRow("rows 7/20", "edge+cloud", "executing", why="maps here", by="big", tokens=220, up=2000, down=200)


def test_a_finished_map_has_all_its_rows_even_where_a_node_was_never_reached() -> None:
    rows = [
        NodeRow("m", "edge", "completed", ms=900),
        NodeRow("m[0]/a", "edge", "completed"),
        NodeRow("m[1]/a", "edge", "waiting"),
    ]
    assert fold(rows) == [NodeRow("m 2/2", "edge", "completed", ms=900)]


def test_rows_alone_show_the_worst_of_their_states() -> None:
    (row,) = fold([NodeRow("m[0]/a", state="failed"), NodeRow("m[1]/a", state="completed")])
    assert (row.path, row.state) == ("m 1/2", "failed")


def test_turns_and_tries_are_one_line() -> None:
    rows = [NodeRow("draft", "edge", "completed", ms=100, tokens=5), NodeRow("draft#1", "edge", "completed", ms=200, tokens=6)]
    assert fold(rows) == [NodeRow("draft x2", "edge", "completed", ms=300, tokens=11)]
    assert [row.path for row in fold([NodeRow("plan/step"), NodeRow("plan!1/step")])] == ["plan/step x2"]


def test_turns_of_a_map_count_their_rows_apart() -> None:
    (row,) = fold([NodeRow("m[0]#0/a", state="completed"), NodeRow("m[0]#1/a", state="executing")])
    assert (row.path, row.state) == ("m 1/2", "executing")


def test_rows_of_a_nested_graphs_map_fold_under_its_path() -> None:
    assert [row.path for row in fold([NodeRow("plan/m[0]/a[3]/b", state="completed"), NodeRow("plan/m[1]/a[0]/b")])] == [
        "plan/m 1/2"
    ]


def test_a_terminal_without_unicode_gets_plain_ascii() -> None:
    table = node_table([NodeRow("ünder" * 10, "edge", "completed", why="x" * 80)], width=60, encoding="ascii")
    assert table.isascii()
    assert "~" in table
    assert max(map(len, table.splitlines())) <= 60


def test_wide_letters_take_two_columns() -> None:
    first, second, third = node_table([NodeRow("要約", "edge", "completed"), NodeRow("abcd", "edge", "completed")]).splitlines()
    assert (first.index("place"), second.index("edge"), third.index("edge")) == (6, 4, 6)


def test_colour_marks_the_state_only() -> None:
    table = node_table([NodeRow("a", "edge", "completed"), NodeRow("b", "edge", "failed")], colour=True)
    assert "a     edge   \x1b[32mcompleted\x1b[0m" in table
    assert "b     edge   \x1b[31mfailed\x1b[0m" in table
    assert re.sub(r"\x1b\[\d+m", "", table) == node_table([NodeRow("a", "edge", "completed"), NodeRow("b", "edge", "failed")])


def test_what_models_write_cannot_move_the_cursor() -> None:
    assert "\x1b" not in node_table([NodeRow("a\x1b[2J", "edge", "completed", by="m\n\r\x07")])


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0 ms"), (99.4, "99 ms"), (100, "0.1 s"), (2345, "2.3 s"), (99_900, "99.9 s"), (185_000, "3 min 5 s")]
)
def test_durations(ms: float, text: str) -> None:
    assert duration(ms) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345, "12.3 kB"), (999_990, "1.0 MB"), (2_000_000_000, "2.0 GB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


TEXT = st.text(max_size=40)


@given(
    st.lists(st.builds(NodeRow, path=TEXT, place=st.sampled_from(["edge", "cloud"]), state=TEXT, why=TEXT, by=TEXT), max_size=8),
    st.integers(20, 120),
)
def test_any_rows_make_a_table_of_as_many_lines(rows: list[NodeRow], width: int) -> None:
    table = node_table(rows, width=width)
    assert len(table.split("\n")) - 1 == (len(fold(rows)) + 1 if rows else 0)
