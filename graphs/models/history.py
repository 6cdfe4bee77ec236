"""Which turns of a history that is too long are left out, whoever answers (`GenerationRequest.fit`). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias

__all__ = ["Messages", "shortened", "turns"]

_SYSTEM: Final = frozenset({"system", "developer"})
_FREE: Final = 4
"""Without max_tokens, a history that is shortened leaves one part in so many of the context for the answer."""

Messages: TypeAlias = Sequence[Mapping[str, Any]]


def shortened(messages: Messages, size: Callable[[Messages], int], context: int, max_tokens: int | None) -> Messages:
    """Messages without as many of the oldest turns as it takes for prompt and answer to fit a context, and no more; the same object
    where they fit as they are.

    What stays in any case are the leading system messages, the last user's message and what follows it. `size` says how many tokens a
    prompt has. Without `max_tokens` a quarter of the context is kept free for the answer, as far as that can be had.
    """
    least = max_tokens if max_tokens is not None else context // _FREE
    if size(messages) + least <= context:
        return messages
    head, middle, last = turns(messages)

    def without(count: int) -> Messages:
        return [*head, *(message for turn in middle[count:] for message in turn), *last]

    best, low, high = len(middle), 1, len(middle) - 1  # if anything fits, it is without at least `low` and at most `best` turns
    while low <= high:
        count = (low + high) // 2
        if size(without(count)) + least <= context:
            best, high = count, count - 1
        else:
            low = count + 1
    return without(best) if best else messages


def turns(messages: Messages) -> tuple[list[Mapping[str, Any]], list[list[Mapping[str, Any]]], list[Mapping[str, Any]]]:
    """The leading system messages, the turns of the history, each from a user's message on, and the last user's message with what follows."""
    first = next((place for place, message in enumerate(messages) if message["role"] not in _SYSTEM), len(messages))
    users = [place for place, message in enumerate(messages) if message["role"] == "user"]
    last = users[-1] if users else max(first, len(messages) - 1)
    starts = [first, *(place for place in users if first < place < last), last]
    middle = [list(messages[start:end]) for start, end in pairwise(starts) if start < end]
    return list(messages[:first]), middle, list(messages[last:])
