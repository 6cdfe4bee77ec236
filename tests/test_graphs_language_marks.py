"""Marks: from a path in a document to a line and column in its text."""

from __future__ import annotations

import pytest

from graphs.language.load import load_text
from graphs.language.marks import Mark, Marks

TEXT = """\
nodes:
  ab: {value: 1}
  a:
    agent: copyAgent
    inputs:
      text: "${:abc.x} and ${:ab.x}"
      escaped: "\\x3aab"
      block: |
        :ab
        :abc.d
      empty:
      list: [:ab, 'b :abc']
    if: :ab
"""


def marks() -> Marks:
    found = load_text(TEXT).marks
    assert found is not None
    return found


INPUTS = ("nodes", "a", "inputs")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("nodes", "ab", "value"), (2, 15, 1)),
        (("nodes", "a"), (3, 3, 1)),  # a map is shown by its key
        (INPUTS, (5, 5, 6)),
        ((*INPUTS, "list", 1), (12, 19, 8)),
        ((*INPUTS, "empty"), (11, 7, 5)),
        ((*INPUTS, "gone", "further"), (5, 5, 6)),
        ((*INPUTS, "list", 7), (12, 7, 4)),
        ((*INPUTS, "text", "into text"), (6, 13, 24)),
        ((), (1, 1, 6)),
    ],
)
def test_values(path: tuple[str | int, ...], place: tuple[int, int, int]) -> None:
    assert marks().where(path) == place


def test_keys() -> None:
    assert marks().where((*INPUTS, "text"), key=True) == (6, 7, 4)
    assert marks().line((*INPUTS, "list")) == 12


@pytest.mark.parametrize(
    ("path", "name", "place"),
    [
        (("nodes", "a", "if"), "ab", (13, 10, 2)),
        ((*INPUTS, "text"), "ab", (6, 31, 2)),  # and not the beginning of abc
        ((*INPUTS, "text"), "abc", (6, 17, 3)),
        ((*INPUTS, "block"), "abc", (10, 10, 3)),
        ((*INPUTS, "list", 0), "ab", (12, 15, 2)),
        ((*INPUTS, "escaped"), "ab", (7, 16, 8)),  # not to be found: the whole text
        ((*INPUTS, "text"), "a", (6, 17, 1)),  # only as part of other names: the first
    ],
)
def test_names_inside_texts(path: tuple[str | int, ...], name: str, place: tuple[int, int, int]) -> None:
    assert marks().where(path, part=name) == place


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_they_like(end: str) -> None:
    found = Marks(Mark(0, 0), end.join(["one", "two", "", "four"]))
    assert [found.line_text(line) for line in (1, 2, 3, 4)] == ["one", "two", "", "four"]
    start = found.text.index("four")
    assert found.at(start, start + 4) == (4, 1, 4)
    assert found.at(0, len(found.text)) == (1, 1, 3)
