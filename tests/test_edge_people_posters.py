"""How questions look, and that the command they name is the one that answers them."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from edge.people.posters import answer_command, notice, poster
from graphs.questions import Question, read

RUN = "01a20243-b1a0-7c2f-a0db-aaf88d72c13b"


def question(kind: Any, path: str = "ask", **more: Any) -> Question:
    return Question(path, 1, kind, "Well?", **more)


FORM = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "nights": {"type": "integer"},
        "seat": {"enum": ["window"]},
        "early": {"type": "boolean"},
        "stops": {"type": "array"},
        "note": {"type": "string", "default": "none"},
        "with": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
    "required": ["city", "nights", "seat", "early", "stops", "note", "with"],
}


@pytest.mark.parametrize(
    "each",
    [
        question("approve"),
        question("text", "a b"),
        question("choose", "rows[2]/it's#1", choices=["two words", "$HOME", 3]),
        question("form", schema=FORM),
        question("form", schema={"type": "integer"}),
        question("form", schema={}),
    ],
)
def test_the_command_can_be_typed_as_it_stands_and_answers(each: Question) -> None:
    program, command, run, path, value = shlex.split(answer_command(RUN, each))
    assert (program, command, run, path) == ("graphferry", "answer", RUN, each.path)
    read(each, value)


def test_a_notice_says_what_is_asked_what_belongs_to_it_and_what_else_may_be_answered() -> None:
    each = question("choose", choices=["red", "light blue"], inputs={"draft": "Dear Ada\nhello", "n": 1})
    assert notice("RUN", each).splitlines() == [
        "ask: Well?",
        "  draft: Dear Ada",
        "    hello",
        "  n: 1",
        "  1. red",
        "  2. light blue",
        "  graphferry answer RUN ask red",
        "    (or 'light blue')",
    ]
    assert notice("RUN", question("choose", choices=["red"])).splitlines()[-1] == "  graphferry answer RUN ask red"


def test_what_a_graph_or_a_model_wrote_cannot_move_the_cursor_and_is_not_endless() -> None:
    each = question("text", inputs={"a\x1b[2J": "x\x07" + "\nline" * 50})
    lines = list(poster(each))
    assert "\x1b" not in "".join(lines)
    assert "\x07" not in "".join(lines)
    assert lines[-1] == "    … and 38 more lines"
