"""What is said of network and battery, in words."""

from __future__ import annotations

import pytest

from edge.network.conditions import said


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("metered", (True, None, None)),
        ("unmetered, mains", (False, False, None)),
        ("battery 37%", (None, True, 0.37)),
        ("", (None, None, None)),
    ],
)
def test_words_say_how_things_stand(words: str, found: tuple[object, ...]) -> None:
    told = said(words, "me")
    assert (told.metered, told.on_battery, told.charge, told.source) == (*found, "me")


@pytest.mark.parametrize("words", ["meterd", "101%", "metered perhaps", "%"])
def test_a_word_that_says_nothing_is_named(words: str) -> None:
    with pytest.raises(ValueError, match="none of metered"):
        said(words, "me")
