from __future__ import annotations

import pytest

from graphs.models.llama.answering import Answer


def fed(answer: Answer, *pieces: bytes) -> list[str]:
    return [answer.feed(piece) for piece in pieces] + [answer.rest()]


def test_text_is_shown_in_whole_characters() -> None:
    answer = Answer()
    assert fed(answer, "é".encode()[:1], "é".encode()[1:], b"a\xff", b"b") == ["", "é", "a\ufffd", "b", ""]
    assert (answer.shown, answer.tokens, answer.call) == ("éa\ufffdb", 4, None)


def test_a_character_cut_by_the_end_is_dropped() -> None:
    assert fed(Answer(), b"ok", "🦆".encode()[:3]) == ["ok", "", ""]


def test_stop_strings_are_not_shown() -> None:
    answer = Answer(["END"])
    assert fed(answer, b"one E", b"ND two") == ["one ", "", ""]
    assert answer.stopped


@pytest.mark.parametrize("pieces", [(b'{"a":', b" 1}"), (b"\n", b' {"a"', b": 1}")])
def test_a_call_is_shown_to_nobody(pieces: tuple[bytes, ...]) -> None:
    answer = Answer(calls=True)
    assert set(fed(answer, *pieces)) == {""}
    assert answer.call == b"".join(pieces).decode()
    assert answer.reveal() == answer.shown == b"".join(pieces).decode()
    assert answer.call is None


def test_text_where_a_call_could_be_is_text_from_its_first_word() -> None:
    answer = Answer(["!"], calls=True)
    assert fed(answer, b"\n", b"Hi", b" {there}", b"!") == ["", "\nHi", " {there}", "", ""]
    assert answer.call is None
    assert answer.stopped
