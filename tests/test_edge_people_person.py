"""The person at a terminal: what is typed becomes an answer, what does not fit is asked for again. Real pseudo terminals are in e2e/test_people."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path
from typing import Any

import pytest

from conftest import Terminal
from edge.people.person import TerminalPerson, person_at
from graphs.environment import Environment
from graphs.questions import Question


class Typed(Terminal):
    """A terminal at which this was typed already."""


def environment(typed: str = "") -> Environment:
    return Environment(Typed(typed), io.StringIO(), Terminal(), {}, Path())


def question(kind: Any, **more: Any) -> Question:
    return Question("ask", 1, kind, "Well?", **more)


def asked(each: Question, typed: str) -> tuple[Any, str]:
    """The answer, and what was shown."""
    env = environment(typed)
    hushed: list[bool] = []
    person = person_at(env, hushed.append)
    assert person is not None
    answer = asyncio.run(person.ask(each))
    assert hushed == [True, False]
    assert isinstance(env.stderr, io.StringIO)
    return answer, env.stderr.getvalue()


def test_nobody_is_there_unless_both_ways_lead_to_a_terminal() -> None:
    assert person_at(environment()) is not None
    assert person_at(Environment(io.StringIO(), io.StringIO(), Terminal(), {}, Path())) is None
    assert person_at(Environment(Terminal(), io.StringIO(), io.StringIO(), {}, Path())) is None


def test_a_text_is_one_line_as_it_always_was() -> None:
    assert asked(question("text"), "Ada\n") == ("Ada", "Well?: ")
    answer, shown = asked(question("text", required=True), "\nAda\n")
    assert (answer, shown.count("Well?: ")) == ("Ada", 2)


def test_a_line_is_not_taken_before_its_end() -> None:
    reading, writing = os.pipe()

    async def main() -> Any:
        with os.fdopen(reading) as stdin:
            env = Environment(stdin, io.StringIO(), Terminal(), {}, Path())
            asking = asyncio.ensure_future(TerminalPerson(env, lambda _on: None).ask(question("text")))
            for piece in ("na", "ïve\nand mo".encode()[:2], "ïve\nand mo".encode()[2:]):
                await asyncio.sleep(0)
                os.write(writing, piece if isinstance(piece, bytes) else piece.encode())
            return await asking

    assert asyncio.run(main()) == "naïve"
    os.close(writing)


def test_the_end_of_the_terminal_is_no_answer() -> None:
    assert asked(question("approve"), "")[0] is None
    assert asked(question("form", schema={"properties": {"a": {"type": "string"}}}), "")[0] is None


def test_a_question_may_be_withdrawn_and_what_is_typed_later_is_for_the_next() -> None:
    reading, writing = os.pipe()

    async def main() -> Any:
        with os.fdopen(reading) as stdin:
            shown, loop = asyncio.Event(), asyncio.get_running_loop()
            env = Environment(stdin, io.StringIO(), Terminal(), {}, Path())
            person = TerminalPerson(env, lambda _on: loop.call_soon(shown.set))
            asking = asyncio.ensure_future(person.ask(question("text")))
            await shown.wait()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            os.write(writing, b"later\n")
            return await person.ask(question("text"))

    assert asyncio.run(main()) == "later"
    os.close(writing)


def test_what_does_not_fit_is_asked_for_again_and_says_why() -> None:
    answer, shown = asked(question("choose", choices=["red", "blue"]), "green\n2\n")
    assert answer == {"choice": "blue"}
    assert "green is no answer to 'ask'" in shown
    assert "It wants one of red, blue" in shown


FORM = {
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "description": "in years"},
        "fan": {"type": "boolean"},
        "seat": {"enum": ["window", 7]},
        "lang": {"type": "string", "default": "en"},
    },
    "required": ["name"],
}


def test_a_form_is_asked_for_field_by_field() -> None:
    answer, shown = asked(question("form", schema=FORM), "\n36\nyes\n7\n\n")
    assert answer == {"name": "", "age": 36, "fan": True, "seat": 7, "lang": "en"}
    assert "  name (string): " in shown
    assert "  age, in years (integer; may be left empty): " in shown
    assert "  seat (one of window, 7; may be left empty): " in shown
    assert "  lang (string; en if left empty): " in shown
    assert asked(question("form", schema=FORM), "Ada\n\n\n\n\n")[0] == {"name": "Ada", "lang": "en"}


def test_a_form_that_does_not_fit_begins_again() -> None:
    answer, shown = asked(question("form", schema=FORM), "Ada\nold\nmaybe\n\n\nAda\n36\n\nwindow\nfr\n")
    assert answer == {"name": "Ada", "age": 36, "seat": "window", "lang": "fr"}
    assert "ask.age is not of type integer" in shown


def test_a_form_with_forms_in_it_is_typed_as_json() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array"}}}
    answer, shown = asked(question("form", schema=schema), '{"a": 1}\n{"a": [1]}\n')
    assert answer == {"a": [1]}
    assert shown.count("in JSON: ") == 2


@pytest.mark.parametrize("error", [OSError("gone"), ValueError("closed")])
def test_a_terminal_that_is_gone_answers_nothing(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    env = environment("x\n")

    def readline() -> str:
        raise error

    monkeypatch.setattr(env.stdin, "readline", readline)
    assert asyncio.run(TerminalPerson(env, lambda _on: None).ask(question("text"))) is None
