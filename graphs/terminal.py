"""Text on a terminal: how wide it is, and what of it may be shown."""

from __future__ import annotations

from unicodedata import combining, east_asian_width

__all__ = ["clip", "columns", "printable"]


def printable(text: str) -> str:
    """The text without characters that move the cursor or colour the screen: a model or a graph may have written them."""
    return "".join(character if character.isprintable() else "?" for character in text)


def columns(text: str) -> int:
    """How many columns of a terminal the text takes: letters of East Asia take two, accents none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def clip(text: str, room: int, ellipsis: str = "…") -> str:
    """The text, or what of it fits into `room` columns with an ellipsis at its end."""
    if columns(text) <= room:
        return text
    while text and columns(text) > room - 1:
        text = text[:-1]
    return text + ellipsis
