"""Cutting a document into passages: at the ends of paragraphs, sentences, or words, whichever comes last before a passage is full. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["passages"]

_ENDS: Final = (
    re.compile(r"\n\s*\n"),
    re.compile("[.!?:][\"')\\]]*\\s|[\u3002\uff01\uff1f]|\n"),
    re.compile(r"\s"),
)
_LEAST: Final = 0.5


def passages(text: str, size: int, overlap: int = 0) -> Iterator[tuple[int, str]]:
    """The passages of a text with where each begins, in order; each has at most `size` characters, no blank at its ends, and is not empty.

    A passage begins up to `overlap` characters before the end of the one before it, at a word. `overlap` is less than half of `size`.
    """
    start = 0
    while start < len(text):
        end = len(text) if start + size >= len(text) else _end(text, start, size)
        piece = text[start:end]
        plain = piece.strip()
        start += len(piece) - len(piece.lstrip())
        if plain:
            yield start, plain
        if end == len(text):
            return
        start = _begin(text, start, end, overlap if plain else 0)


def _end(text: str, start: int, size: int) -> int:
    """The last good place to cut in the second half of what fits; a word of more than that is cut where it must be."""
    least = start + max(1, int(size * _LEAST))
    for pattern in _ENDS:
        cuts = [match.end() for match in pattern.finditer(text, least - 1, start + size) if match.end() >= least]
        if cuts:
            return cuts[-1]
    return start + size


def _begin(text: str, start: int, end: int, overlap: int) -> int:
    if not overlap:
        return end
    back = max(start + 1, end - overlap)
    word = re.search(r"\s\S", text[back - 1 : end])
    return back + word.start() if word else end
