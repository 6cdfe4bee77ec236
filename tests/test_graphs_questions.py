"""Questions to people: which answers fit, how typed text is read, and which answer counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from graphs.errors import UsageError
from graphs.questions import BUDGET, Given, Question, asked, fit, read, showable, shown
from graphs.records import Answer, Error, Event, Record, Result, State, decode, encode

FORM = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "nights": {"type": "integer", "minimum": 1}},
    "required": ["city"],
    "additionalProperties": False,
}


def question(kind: Any = "text", **more: Any) -> Question:
    return Question("rows[1]/ask", 1, kind, "Well?", **more)


def choose(*choices: Any) -> Question:
    return question("choose", choices=list(choices))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", {"approved": True}),
        ("Y", {"approved": True}),
        ("approve", {"approved": True}),
        ("true", {"approved": True}),
        ("no", {"approved": False}),
        ("Reject: too long", {"approved": False, "comment": "too long"}),
        ("no, not like this", {"approved": False, "comment": "not like this"}),
        ('{"approved": true, "comment": "fine"}', {"approved": True, "comment": "fine"}),
        ('{"approved": true, "comment": null}', {"approved": True}),
    ],
)
def test_an_approval_is_a_word_and_perhaps_a_comment(text: str, value: Any) -> None:
    assert read(question("approve"), text) == value


@pytest.mark.parametrize("text", ["", "perhaps", "yesterday", "1", "[]", '{"approved": "yes"}', '{"approved": true, "by": "me"}'])
def test_what_is_neither_yes_nor_no_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no answer to 'rows") as caught:
        read(question("approve"), text)
    assert "yes or no" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("choices", "text", "value"),
    [
        (("red", "blue"), "blue", "blue"),
        (("red", "blue"), "2", "blue"),
        (("red", "blue"), '{"choice": "red"}', "red"),
        (("2", "1"), "2", "2"),
        ((10, 20), "20", 20),
        ((10, 20), "1", 10),
        ((True, 1), "true", True),
        ((1, True), "true", True),
        ((0.5, "x"), "0.5", 0.5),
    ],
)
def test_a_choice_is_its_words_or_its_number(choices: Sequence[Any], text: str, value: Any) -> None:
    found: Any = read(choose(*choices), text)
    assert (found, type(found["choice"])) == ({"choice": value}, type(value))


@pytest.mark.parametrize("text", ["green", "0", "3", "-1", "true", '{"choice": "green"}', '{"choice": "red", "why": 1}', ""])
def test_another_choice_is_refused_and_those_there_are_are_named(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(choose("red", "blue"), text)
    assert "one of red, blue" in (caught.value.hint or "")


def test_a_form_is_what_its_schema_says() -> None:
    assert read(question("form", schema=FORM), '{"city": "Rome", "nights": 2}') == {"city": "Rome", "nights": 2}
    assert read(question("form", schema={"type": "string"}), "Rome") == "Rome"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Rome", "ask is not of type object"),
        ("{}", "ask.city is missing"),
        ('{"city": "Rome", "nights": 0}', "ask.nights is 0, outside its bounds"),
        ('{"city": "Rome", "more": 0}', "ask.more may not be there"),
    ],
)
def test_what_does_not_fit_a_form_is_named(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        read(question("form", schema=FORM), text)
    assert (caught.value.hint or "").startswith("The schema: {")


def test_a_schema_that_cannot_be_applied_takes_no_answer_and_breaks_nothing() -> None:
    with pytest.raises(UsageError, match="cannot be applied"):
        read(question("form", schema={"$ref": "#/nowhere"}), "1")


def test_a_text_is_taken_as_it_is() -> None:
    assert read(question(), '{"a": 1}') == '{"a": 1}'
    assert read(question(), "") == ""
    with pytest.raises(UsageError, match="an empty text is no answer") as caught:
        read(question(required=True), "")
    assert caught.value.hint == "It wants a text that is not empty."
    with pytest.raises(UsageError):
        fit(question(), 7)


# -- on record


def asking(each: Question) -> Event:
    event = Event(each.path, each.at, State.SUSPENDED, 5, each.as_info())
    kept = encode(event)
    again = decode(kept.type, kept.tail)
    assert isinstance(again, Event)
    return again


@pytest.mark.parametrize(
    "each",
    [
        question(),
        question("approve", inputs={"draft": "Dear Ada", "n": 1}),
        choose("red", 2),
        question("form", schema=FORM),
        question(required=True),
    ],
)
def test_a_question_is_the_same_when_it_was_on_record(each: Question) -> None:
    assert Question.of(asking(each)) == each


@pytest.mark.parametrize(
    "event",
    [
        Event("a", 1, State.EXECUTING, 5, {"question": {"kind": "text", "prompt": "?"}}),
        Event(None, 0, State.SUSPENDED, 5, {"question": {"kind": "text", "prompt": "?"}}),
        Event("a", 1, State.SUSPENDED, 5, None),
        Event("a", 1, State.SUSPENDED, 5, {"question": "what?"}),
        Event("a", 1, State.SUSPENDED, 5, {"question": {"kind": "sing", "prompt": "?"}}),
        Event("a", 1, State.SUSPENDED, 5, {"question": {"kind": "text"}}),
        Event("a", 1, State.SUSPENDED, 5, {"question": {"kind": "form", "prompt": "?", "schema": 1}}),
    ],
)
def test_what_tells_of_no_question_is_none(event: Event) -> None:
    assert Question.of(event) is None


def logged(*records: tuple[str, Record]) -> list[tuple[bytes, int, int, Record]]:
    """Records by writer, numbered a writer."""
    numbers: dict[str, int] = {}
    found = []
    for writer, record in records:
        numbers[writer] = numbers.get(writer, 0) + 1
        found.append((writer.encode(), numbers[writer], 0, record))
    return found


def test_the_first_answer_that_fits_counts() -> None:
    ask = question("approve")
    logs = logged(
        ("holder", asking(ask)),
        ("a", Answer(ask.path, 1, "hm")),
        ("b", Answer(ask.path, 2, True)),
        ("b", Answer("elsewhere", 1, True)),
        ("c", Answer(ask.path, 1, False)),
        ("d", Answer(ask.path, 1, True)),
    )
    (found,) = asked(logs).values()
    assert found.answer == Given(b"c", 1, {"approved": False})
    assert not found.open


def test_an_answer_that_came_before_its_question_was_read_counts() -> None:
    ask = question()
    (found,) = asked(logged(("a", Answer(ask.path, 1, "early")), ("holder", asking(ask)))).values()
    assert found.answer is not None


def test_a_question_is_over_when_its_node_has_gone_on() -> None:
    ask = question()
    done = Result(ask.path, 1, 0, "x", 5, {})
    failed = Error(ask.path, 1, 0, "NODE_FAILED", "no", False, True)
    assert asked(logged(("h", asking(ask))))[ask.path].open
    for record in (done, failed):
        found = asked(logged(("h", asking(ask)), ("h", record)))[ask.path]
        assert (found.over, found.open) == (True, False)
    kept = Result(ask.path, 1, 0, "x", 5, {"key": bytes(32)})  # a fork was given it in case the node is handed the same
    assert asked(logged(("h", asking(ask)), ("h", kept)))[ask.path].open


def test_one_yes_is_enough_for_all_who_ask_for_the_same_of_a_budget() -> None:
    def more(path: str, allowed: int) -> Question:
        return Question(path, 1, "approve", "Go on?", {BUDGET: {"scope": "", "kind": "tokens", "spent": 90, "allowed": allowed}})

    questions = [("h", asking(each)) for each in (more("b", 80), more("c", 80), more("d", 160))]
    for yes, still in ((True, ["d"]), (False, ["c", "d"])):
        found = asked(logged(*questions, ("h", Answer("b", 1, yes))))
        assert [path for path, each in found.items() if each.open] == still


def test_an_attempt_that_failed_after_its_answer_asks_anew() -> None:
    ask, again = question(), Question("rows[1]/ask", 2, "text", "Once more?")
    logs = logged(
        ("h", asking(ask)),
        ("h", Error(ask.path, 1, 0, "NODE_FAILED", "no", False, True)),
        ("h", asking(again)),
        ("a", Answer(ask.path, 1, "old")),
    )
    found = asked(logs)[ask.path]
    assert (found.question.at, found.open) == (2, True)


# -- what is shown


def test_what_is_long_is_cut_off_and_says_so() -> None:
    assert shown("x" * 10, 5) == "xxxxx… (10 characters)"
    assert shown({"a": [1, None]}) == '{"a": [1, null]}'
    assert shown(b"ab") == '"<2 bytes>"'
    assert showable("word") == "word"
    assert showable({"a": 1}) == {"a": 1}
    assert showable("x" * 100_000) == f"{'x' * 1024}… (100,000 characters)"
    assert str(showable(["word"] * 10_000)).endswith("characters)")


def test_as_json_it_says_what_a_program_needs() -> None:
    assert choose("red").as_json() == {
        "node": "ask",
        "path": "rows[1]/ask",
        "kind": "choose",
        "prompt": "Well?",
        "choices": ["red"],
    }
    assert question("form", schema=FORM, inputs={"a": 1}).as_json()["schema"] == FORM
