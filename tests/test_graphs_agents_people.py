"""Agents that wait for someone."""

from __future__ import annotations

from typing import Any

import pytest

from agent_context import context, run
from graphs.agents import people
from graphs.errors import NodeError


class Person:
    """Answers in turn and remembers the questions."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    async def __call__(self, question: str) -> str:
        self.questions.append(question)
        return self.answers.pop(0)


def test_a_person_is_asked() -> None:
    person = Person("yes")
    given = context({}, {"message": "Sure?", "role": "system"}, services={"ask": person})
    assert run(people.text_input_agent, given) == {"text": "yes", "message": {"role": "system", "content": "yes"}}
    assert person.questions == ["Sure?"]


def test_a_required_answer_is_asked_for_again() -> None:
    person = Person("", "", "Ada")
    assert run(people.text_input_agent, context({}, {"required": True}, services={"ask": person}))["text"] == "Ada"
    assert person.questions == ["Enter"] * 3


def test_an_empty_answer_is_one_unless_required() -> None:
    assert run(people.text_input_agent, context(services={"ask": Person("")}))["text"] == ""


@pytest.mark.parametrize("agent", people.AGENTS, ids=lambda each: each.name)
def test_where_nobody_is_the_node_fails_and_says_what_to_do(agent: Any) -> None:
    with pytest.raises(NodeError) as caught:
        run(agent, context())
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


def test_people_are_never_asked_twice_by_a_crash() -> None:
    assert all(agent.effect == "once" and agent.needs == {"people"} for agent in people.AGENTS)
