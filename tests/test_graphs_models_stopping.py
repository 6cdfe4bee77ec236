from __future__ import annotations

import random

import pytest

from graphs.models.stopping import StopText


def run(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    stop, shown = StopText(stops), []
    for piece in pieces:
        shown.append(stop.feed(piece))
        if stop.found:
            return "".join(shown), True
    return "".join(shown) + stop.rest(), False


@pytest.mark.parametrize(
    ("stops", "pieces", "text", "found"),
    [
        ([], ["a", "b"], "ab", False),
        ([""], ["a"], "a", False),
        (["."], ["one", " two. three"], "one two", True),
        (["END"], ["xE", "N", "D", "y"], "x", True),
        (["END"], ["xE", "N", "X"], "xENX", False),
        (["END"], ["E", "EN", "D"], "E", True),
        (["aab"], ["aa", "ab"], "a", True),
        (["bc", "abcd"], ["a", "b", "c", "d"], "a", True),
        (["\n\n"], ["line\n", "next\n", "\nrest"], "line\nnext", True),
        (["END"], ["only E"], "only E", False),
    ],
)
def test_examples(stops: list[str], pieces: list[str], text: str, found: bool) -> None:
    assert run(stops, pieces) == (text, found)


def test_what_cannot_become_a_stop_string_is_passed_on_at_once() -> None:
    stop = StopText(["END"])
    assert stop.feed("hello") == "hello"
    assert stop.feed("E") == ""
    assert stop.feed("x") == "Ex"


def test_with_one_stop_string_pieces_make_no_difference() -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(500):
        text = "".join(source.choice("ab") for _ in range(source.randrange(30)))
        stop = "".join(source.choice("ab") for _ in range(source.randrange(1, 5)))
        cuts = sorted(source.randrange(len(text) + 1) for _ in range(source.randrange(6)))
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert run([stop], pieces) == (text.split(stop)[0], stop in text), (text, stop, pieces)
