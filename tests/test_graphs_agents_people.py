"""Agents that wait for someone."""

from __future__ import annotations

from typing import Any

import pytest

from agent_context import context, run
from graphs.agents import people
from graphs.errors import AnswerNeeded, NodeError, UsageError
from graphs.questions import Question, fit
from graphs.values import MISSING


class People:
    """A `graphs.running.ports.People` who answer in turn and remember the questions."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.questions: list[Question] = []

    async def answer(self, question: Question) -> tuple[Any, dict[str, Any]]:
        self.questions.append(question)
        if not self.answers:
            raise AnswerNeeded(question)
        return fit(question, self.answers.pop(0)), {"answer": [b"somebody", 3]}

    async def ask_now(self, question: Question) -> Any:
        self.questions.append(question)
        return fit(question, self.answers.pop(0))


def asked_by(agent: Any, inputs: Any, params: Any, answer: Any, **more: Any) -> tuple[Any, Question]:
    """The agent's value, and what it asked."""
    people = People(answer)
    value = run(agent, context(inputs, params, services={"people": people}, path="n#2", **more))
    (question,) = people.questions
    return value, question


def test_a_person_is_asked_for_a_text() -> None:
    value, question = asked_by(people.text_input_agent, {}, {"message": "Sure?", "role": "system"}, "yes", at=4)
    assert value == {"text": "yes", "message": {"role": "system", "content": "yes"}}
    assert question == Question("n#2", 4, "text", "Sure?")


def test_an_empty_answer_is_one_unless_required() -> None:
    assert asked_by(people.text_input_agent, {}, {}, "")[0]["text"] == ""
    with pytest.raises(UsageError):
        asked_by(people.text_input_agent, {}, {"required": True}, "")
    with pytest.raises(UsageError):
        asked_by(people.human_agent, {}, {"required": True, "prompt": "?"}, "")


@pytest.mark.parametrize(
    ("params", "answer", "value"),
    [
        ({"mode": "approve"}, True, {"approved": True}),
        ({"mode": "approve"}, {"approved": False, "comment": "no"}, {"approved": False, "comment": "no"}),
        ({"choices": ["a", "b"]}, "b", {"choice": "b"}),
        ({"schema": {"type": "object"}}, {"x": 1}, {"x": 1}),
        ({"mode": "text"}, "Ada", {"text": "Ada", "message": {"role": "user", "content": "Ada"}}),
        ({}, "Ada", {"text": "Ada", "message": {"role": "user", "content": "Ada"}}),
    ],
)
def test_each_mode_has_a_value_of_its_own(params: Any, answer: Any, value: Any) -> None:
    assert asked_by(people.human_agent, {}, params, answer)[0] == value


def test_what_is_asked_may_come_as_inputs_and_all_others_are_shown() -> None:
    inputs = {"prompt": "Which?", "choices": ["a"], "draft": "Dear Ada", "none": MISSING, "big": "x" * 9000}
    _, question = asked_by(people.human_agent, inputs, {"prompt": "Other"}, "a")
    assert (question.prompt, question.choices) == ("Which?", ["a"])
    assert question.inputs == {"draft": "Dear Ada", "big": f"{'x' * 1024}… (9,000 characters)"}


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"mode": "sing"}, "there is no mode sing; there are approve, choose, form, text"),
        ({"mode": "choose"}, "choices has to be a list"),
        ({"choices": [{"a": 1}]}, "choices has to be a list"),
        ({"mode": "form"}, "needs a schema"),
        ({"schema": {"type": "string", "pattern": "x"}}, "schema/pattern is a word that answers are not held to"),
        ({"schema": {"properties": {"a": {"if": {}}}}}, "schema/properties/a/if"),
    ],
)
def test_a_question_that_cannot_be_put_fails_the_node_before_anybody_is_asked(params: Any, what: str) -> None:
    with pytest.raises(NodeError, match=what) as caught:
        run(people.human_agent, context({}, params, services={"people": People("x")}))
    assert not caught.value.retryable


def test_the_result_says_which_answer_counted() -> None:
    given = context({}, {"mode": "approve"}, services={"people": People(True)})
    run(people.human_agent, given)
    assert given.facts == {"answer": [b"somebody", 3]}


@pytest.mark.parametrize("agent", [people.human_agent, people.text_input_agent], ids=lambda each: each.name)
def test_without_an_answer_the_node_waits_and_does_not_fail(agent: Any) -> None:
    for services in ({"people": People()}, {}):
        with pytest.raises(AnswerNeeded) as caught:
            run(agent, context({}, {}, services=services, path="ask"))
        assert (caught.value.condition, caught.value.question.path) == ("ANSWER_NEEDED", "ask")


def test_an_agent_that_another_one_calls_asks_at_once_for_it_has_no_place_to_wait() -> None:
    person = People("yes")
    value = run(people.text_input_agent, context({}, {}, services={"people": person}, at=0))
    assert value["text"] == "yes"


def test_where_nobody_takes_events_the_node_fails_and_says_what_to_do() -> None:
    with pytest.raises(NodeError) as caught:
        run(people.event_agent, context())
    assert not caught.value.retryable
    assert caught.value.hint


def test_an_event_says_who_waits_and_for_what() -> None:
    seen: list[Any] = []

    async def events(event: Any) -> Any:
        seen.append(event)
        return None

    given = context({"order": 7}, {"type": "approval"}, services={"events": events}, node_id="approve", agent_name="eventAgent")
    assert run(people.event_agent, given) is None
    assert seen == [
        {
            "id": given.key.hex(),
            "nodeId": "approve",
            "agentId": "eventAgent",
            "type": "approval",
            "params": {"type": "approval"},
            "namedInputs": {"order": 7},
        }
    ]


def test_a_question_may_be_put_again_after_a_crash_an_event_may_not() -> None:
    assert {agent.name: agent.effect for agent in people.AGENTS} == {
        "humanAgent": "idempotent",
        "textInputAgent": "idempotent",
        "eventAgent": "once",
    }
    assert all(agent.needs == {"people"} for agent in people.AGENTS)
