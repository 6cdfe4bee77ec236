from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, strategies as st

from graphs.models.llama.prompting import Prompts, Refusal

SYSTEM = {"role": "system", "content": "rules"}


class Words:
    """A token is a word."""

    def __init__(self, context: int = 20) -> None:
        self.context = context
        self.begun: list[bool] = []

    def tokenise(self, text: bytes, *, begin: bool) -> list[int]:
        self.begun.append(begin)
        return [sum(word) for word in text.split()]


def render(messages: Sequence[Mapping[str, Any]], answer: bool) -> str:
    return " ".join(str(message["content"]) for message in messages) + " answer:" * answer


def prompts(context: int = 20, begin: str = "") -> Prompts:
    return Prompts(Words(context), render, begin)


def said(role: str, words: int = 2) -> dict[str, Any]:
    return {"role": role, "content": "word " * words}


@pytest.mark.parametrize(("begin", "text", "added"), [("<s>", "<s> Hello", False), ("<s>", "Hello", True), ("", "Hello", True)])
def test_a_prompt_begins_with_one_begin_token(begin: str, text: str, added: bool) -> None:
    words = Words()
    Prompts(words, render, begin).make([{"role": "user", "content": text}], max_tokens=None)
    assert words.begun == [added]  # with True the tokenizer adds it to models that have one


@pytest.mark.parametrize(("words", "max_tokens"), [(20, None), (15, 6), (21, 1)])
def test_what_does_not_fit_is_refused_with_figures(words: int, max_tokens: int | None) -> None:
    with pytest.raises(Refusal) as caught:
        prompts().make([said("user", words)], max_tokens=max_tokens)
    assert caught.value.code == "CONTEXT_TOO_LONG"
    assert caught.value.detail == {"prompt_tokens": words + 1, "max_tokens": max_tokens, "context": 20}


def test_the_room_is_what_was_asked_for_or_what_is_left() -> None:
    assert prompts().make([said("user", 4)], max_tokens=7).room == 7
    assert prompts().make([said("user", 4)], max_tokens=None).room == 15


def test_the_first_messages_tokens_are_those_the_prompt_begins_with() -> None:
    messages = [said("system", 3), said("user", 4), said("user", 1)]
    made = [prompts().make(messages, max_tokens=1, shared=shared).shared for shared in (0, 1, 2, 3, 9)]
    assert made == [0, 3, 7, 0, 0]


def test_a_history_that_is_too_long_loses_its_oldest_turns_and_no_more() -> None:
    messages = [SYSTEM, *[said("user"), said("assistant")] * 6, said("user", 3)]
    prompt = prompts().make(messages, max_tokens=5, fit=True)
    assert (prompt.dropped, len(prompt.tokens)) == (8, 1 + 2 * 4 + 3 + 1)
    assert prompts().make(messages, max_tokens=None, fit=True).dropped == 8
    assert prompts(200).make(messages, max_tokens=5, fit=True).dropped == 0
    with pytest.raises(Refusal, match="do not fit"):
        prompts().make(messages, max_tokens=5)


def test_what_cannot_be_shortened_is_refused() -> None:
    with pytest.raises(Refusal, match="do not fit"):
        prompts().make([SYSTEM, said("user"), said("assistant"), said("user", 30)], max_tokens=1, fit=True)
    # Without a limit some room for the answer is wanted, but any is enough.
    assert prompts().make([SYSTEM, said("user"), said("user", 16)], max_tokens=None, fit=True).room == 2


@given(st.lists(st.integers(0, 6), max_size=12), st.integers(1, 10))
def test_the_fewest_turns_are_dropped(lengths: list[int], max_tokens: int) -> None:
    messages = [SYSTEM, *(said("user", length) for length in lengths), said("user", 2)]
    prompt = prompts().make(messages, max_tokens=max_tokens, fit=True)
    sizes = [1 + sum(lengths[dropped:]) + 2 + 1 + max_tokens for dropped in range(len(lengths) + 1)]
    assert prompt.dropped == next(dropped for dropped, size in enumerate(sizes) if size <= 20)


def test_a_template_that_is_missing_or_says_no_is_a_refusal() -> None:
    with pytest.raises(Refusal, match="no chat template"):
        Prompts(Words(), None, "").make([said("user")], max_tokens=1)
    with pytest.raises(Refusal, match="empty prompt"):
        Prompts(Words(), lambda messages, answer: "", "").make([said("user")], max_tokens=1)

    def picky(messages: Sequence[Mapping[str, Any]], answer: bool) -> str:
        if messages[-1]["role"] != "user":
            raise ValueError("roles must alternate")
        return render(messages, answer)

    with pytest.raises(Refusal, match="roles must alternate"):
        Prompts(Words(), picky, "").make([SYSTEM], max_tokens=1)
    assert Prompts(Words(), picky, "").make([SYSTEM, said("user")], max_tokens=1, shared=1).shared == 0
