from __future__ import annotations

import random

from graphs.agents.chunks import passages

TEXT = "One. Two is longer!\n\nA paragraph of its own, with words.\nA line. And the last one"


def texts(text: str, size: int, overlap: int = 0) -> list[str]:
    return [piece for _, piece in passages(text, size, overlap)]


def test_a_text_that_fits_is_one_passage() -> None:
    assert texts("  short \n", 100) == ["short"]
    assert texts(" \n\n ", 5) == texts("", 5) == []


def test_it_is_cut_at_paragraphs_then_sentences_then_words() -> None:
    assert texts(TEXT, 40) == ["One. Two is longer!", "A paragraph of its own, with words.", "A line. And the last one"]
    assert texts("One two. Three four five six", 20) == ["One two. Three four", "five six"]
    assert texts("Here it is. Then more words", 16) == ["Here it is.", "Then more words"]
    assert texts("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]
    assert texts("一つ目の文です。二つ目の文です。", 10) == ["一つ目の文です。", "二つ目の文です。"]


def test_passages_overlap_at_words() -> None:
    assert texts("aa bb cc dd ee ff gg", 9, 4) == ["aa bb cc", "cc dd ee", "ee ff gg"]


def test_nothing_is_lost_and_positions_are_true() -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(300):
        text = "".join(chance.choice("ab.  \n") for _ in range(chance.randrange(200)))
        size = chance.randrange(4, 40)
        overlap = chance.randrange(size // 2)
        covered: set[int] = set()
        last = -1
        for start, piece in passages(text, size, overlap):
            assert text[start : start + len(piece)] == piece == piece.strip() != ""
            assert len(piece) <= size
            assert start > last
            last = start
            covered |= set(range(start, start + len(piece)))
        assert all(char.isspace() for place, char in enumerate(text) if place not in covered)
