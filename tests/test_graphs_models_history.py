from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, strategies as st

from graphs.models.history import shortened, turns


def said(role: str, words: int = 2) -> dict[str, Any]:
    return {"role": role, "content": "word " * words}


def size(messages: Sequence[Mapping[str, Any]]) -> int:
    return sum(len(str(message["content"]).split()) for message in messages)


@pytest.mark.parametrize(
    ("roles", "head", "middle", "last"),
    [
        ("u", "", [], "u"),
        ("su", "s", [], "u"),
        ("ssuauau", "ss", ["ua", "ua"], "u"),
        ("suauattau", "s", ["ua", "uatta"], "u"),
        ("uaua", "", ["ua"], "ua"),
        ("sauau", "s", ["a", "ua"], "u"),
        ("sa", "s", [], "a"),
        ("s", "s", [], ""),
        ("suatt", "s", [], "uatt"),
    ],
)
def test_turns_begin_with_a_users_message(roles: str, head: str, middle: list[str], last: str) -> None:
    names = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    found = turns([said(names[role]) for role in roles])

    def short(messages: Sequence[Mapping[str, Any]]) -> str:
        return "".join(str(message["role"])[0] for message in messages)

    assert (short(found[0]), [short(turn) for turn in found[1]], short(found[2])) == (head, middle, last)


def test_what_fits_is_left_alone_and_what_must_stay_stays() -> None:
    messages = [said("system"), said("user"), said("assistant"), said("user", 30)]
    assert shortened(messages, size, 100, 5) is messages
    assert shortened(messages, size, 20, 5) == [messages[0], messages[3]]
    assert shortened(messages, size, 40, None) == [messages[0], messages[3]], "a quarter is kept free"


@given(st.lists(st.integers(0, 6), max_size=12), st.integers(1, 10))
def test_no_more_turns_go_than_have_to(lengths: list[int], max_tokens: int) -> None:
    messages = [said("system", 1), *(said("user", length) for length in lengths), said("user", 2)]
    kept = shortened(messages, size, 20, max_tokens)
    sizes = [1 + sum(lengths[dropped:]) + 2 + max_tokens for dropped in range(len(lengths) + 1)]
    assert len(messages) - len(kept) == next((dropped for dropped, each in enumerate(sizes) if each <= 20), len(lengths))
