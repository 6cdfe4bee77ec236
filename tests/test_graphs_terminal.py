from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from graphs.terminal import clip, columns, printable


def test_printable_text_cannot_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\n\u202e") == "a?[2Jb??"
    assert printable("é要 ") == "é要 "


@pytest.mark.parametrize(("text", "width"), [("", 0), ("abc", 3), ("要約", 4), ("e\u0301", 1)])
def test_columns(text: str, width: int) -> None:
    assert columns(text) == width


def test_clip_keeps_what_fits() -> None:
    assert clip("abc", 3) == "abc"
    assert clip("abcd", 3) == "ab…"
    assert clip("要約文", 4) == "要…"
    assert clip("abcd", 3, "~") == "ab~"


@given(st.text(max_size=40), st.integers(1, 30))
def test_clipped_text_fits(text: str, room: int) -> None:
    assert columns(clip(text, room)) <= room
