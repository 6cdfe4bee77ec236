"""Names of people in texts."""

from __future__ import annotations

import pytest

from graphs.agents.found_names import find_names, find_parts, words_of


def names(text: str) -> list[str]:
    return [text[start:end] for start, end in find_names(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Dear Quorvel,", ["Quorvel"]),
        ("Mr. Zubrin and Frau Dr. Xanthe Quill met.", ["Zubrin", "Xanthe Quill"]),
        ("I saw Ada Lovelace.", ["Ada Lovelace"]),
        ("ludwig is written small, Ludwig van Beethoven is not.", ["Ludwig van Beethoven"]),
        ("My name is Quorvel Zed", ["Quorvel Zed"]),
        ("From: Quorvel Zed <q@example.org>", ["Quorvel Zed"]),
        ("Best regards,\nQuorvel Zed\n", ["Quorvel Zed"]),
        ("Anna-Lena's hat", ["Anna-Lena"]),
        ("J. Smith and John F. Kennedy", ["John F. Kennedy"]),
        ("Will you come in May? Mark the date. Grace is a virtue.", []),
        ("Mark Twain wrote it.", []),
        ("Thomas Mann", ["Thomas Mann"]),
        ("Dear Sir or Madam, hello World", []),
        ("The Federal Reserve in New York", []),
        ("", []),
    ],
)
def test_names_are_found_where_they_are_written_as_names_are(text: str, found: list[str]) -> None:
    assert names(text) == found


def test_parts_of_a_known_name_are_found_as_words() -> None:
    text = "Ada met Lovelace; Adams did not."
    assert [text[start:end] for start, end in find_parts(text, frozenset({"Ada", "Lovelace"}))] == ["Ada", "Lovelace"]


def test_the_words_of_a_name() -> None:
    assert words_of("Ludwig van Beethoven-Smith") == ["Ludwig", "van", "Beethoven-Smith"]
