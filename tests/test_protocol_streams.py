"""Token streams: what is sent, merged, shown, and ignored."""

from __future__ import annotations

from typing import Any

import pytest

from graphs.records import End, Error, Event, Result, State
from protocol.messages import Delta
from protocol.store import OpenAttempt
from protocol.streams import MAX_TOKENS, Stream, Streams, Texts

ROOM = 1 << 20


def executing(path: str, at: int = 1) -> Event:
    return Event(path, at, State.EXECUTING, 5, {})


def stream(tokens: list[Any]) -> Stream:
    made = Stream(3, "a", withheld=False)
    made.add(tokens)
    return made


def test_what_is_pending_is_taken_once() -> None:
    made = stream(["The", " tide"])
    assert list(made.take(2, ROOM)) == [Delta(2, 3, 0, ["The", " tide"])]
    assert list(made.take(2, ROOM)) == []
    made.add(["!"])
    assert list(made.take(2, ROOM)) == [Delta(2, 3, 2, ["!"])]
    assert made.pending == 0


@pytest.mark.parametrize(
    ("tokens", "data", "n"),
    [(["a", "b", "c"], ["bc"], 2), ([b"a", b"b", b"c"], [b"bc"], 2), (["a", {"x": 1}, "c"], [{"x": 1}, "c"], None)],
    ids=["text", "bytes", "mixed"],
)
def test_a_catch_up_merges_what_can_be_merged(tokens: list[Any], data: list[Any], n: int | None) -> None:
    made = stream(tokens)
    made.rewind(1)
    assert list(made.take(2, ROOM)) == [Delta(2, 3, 1, data, n)]
    made.add(["d", "e"])
    assert list(made.take(2, ROOM)) == [Delta(2, 3, 3, ["d", "e"])]


def test_a_reader_that_shows_more_than_there_is_gets_what_comes() -> None:
    made = stream(["a"])
    made.rewind(5)
    assert list(made.take(2, ROOM)) == []


def test_packets_are_bounded() -> None:
    made = stream(["x" * 100] * 100)
    assert [len(delta.data) for delta in made.take(2, 1000)] == [10]
    assert made.pending == 9000
    made = stream(["x"] * (MAX_TOKENS + 1))
    assert [len(delta.data) for delta in made.take(2, ROOM)] == [MAX_TOKENS, 1]


def test_an_attempt_ends_with_its_record() -> None:
    streams = Streams()
    streams.appended(1, executing("a"), False)
    streams.appended(2, executing("b"), False)
    streams.appended(3, Result("a", 1, 0, None, 5, {}), False)
    assert list(streams.by_start) == [2]
    assert list(streams.closing) == [3]
    streams.appended(4, executing("b", 2), False)
    assert list(streams.by_start) == [4]
    streams.appended(5, End(0, 5, {}), False)
    assert not streams.by_start


# -- the reader


def texts() -> Texts:
    made = Texts(())
    made.accepted(3, executing("a"))
    return made


def test_tokens_are_shown_once_and_in_order() -> None:
    made = texts()
    assert made.take(Delta(1, 3, 0, ["a", "b"])) == ("a", 1, 0, ["a", "b"], 2)
    assert made.take(Delta(1, 3, 0, ["a", "b"])) is None
    assert made.take(Delta(1, 3, 1, ["b", "c"])) == ("a", 1, 2, ["c"], 1)
    assert made.take(Delta(1, 3, 5, ["z"])) is None, "beyond a gap: the catch-up comes"
    assert made.take(Delta(1, 3, 3, ["def"], 3)) == ("a", 1, 3, ["def"], 3)
    assert made.take(Delta(1, 3, 5, ["fgh"], 3)) is None, "merged tokens cannot be cut"
    assert made.shown() == [(3, 6)]


@pytest.mark.parametrize(
    "record", [Result("a", 1, 0, None, 5, {}), Error("a", 1, 0, "X", "", False, True), executing("a", 2), End(0, 5, {})], ids=repr
)
def test_nothing_is_shown_of_an_attempt_that_is_over(record: Any) -> None:
    made = texts()
    made.accepted(4, record)
    assert made.take(Delta(1, 3, 0, ["late"])) is None


def test_other_nodes_go_on() -> None:
    made = texts()
    made.accepted(4, Result("b", 1, 0, None, 5, {}))
    made.accepted(5, Event(None, 0, State.SUSPENDED, 5, {}))
    assert made.take(Delta(1, 3, 0, ["x"])) is not None


def test_attempts_open_in_the_journal_are_shown_from_the_start() -> None:
    made = Texts([OpenAttempt(7, "a", 2)])
    assert made.shown() == [(7, 0)]
    assert made.take(Delta(1, 7, 0, ["x"])) == ("a", 2, 0, ["x"], 1)


def test_all_that_is_pending_is_taken_at_once_where_it_is_one_message() -> None:
    made = stream(["The", " tide"])
    assert made.take_all(ROOM) == (0, ["The", " tide"])
    assert (made.sent, made.pending) == (2, 0)
    made.add(["!", "?"])
    assert made.take_all(1) is None
    assert made.take_all(2) == (2, ["!", "?"])
    made.add(["."] * (MAX_TOKENS + 1))
    assert made.take_all(ROOM) is None
    made.rewind(0)  # what is shown anew is merged
    assert made.take_all(ROOM) is None
    assert made.sent == 0
