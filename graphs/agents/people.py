"""Agents that wait for a person or for something outside the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from graphs.agents.common import given, option, refuse, service
from graphs.errors import AnswerNeeded
from graphs.language.jstext import text, truthy
from graphs.models.schemas import require_understood
from graphs.questions import KINDS, Kind, Question, showable, shown
from graphs.registry import AgentContext, Sample, agent
from graphs.values import MISSING, Value

__all__ = ["AGENTS", "ASKING"]

_LONGEST_PROMPT: Final = 8192
"""Characters of a question; what is to be read with it belongs into the inputs."""

_OWN: Final = frozenset({"prompt", "choices", "schema", "mode", "params"})
"""Inputs that say what is asked; the others are shown."""


@agent(
    "humanAgent",
    category="input",
    effect="idempotent",
    needs=["people"],
    params={
        "type": "object",
        "properties": {
            "mode": {"enum": list(KINDS)},
            "prompt": {"type": "string"},
            "choices": {"type": "array"},
            "schema": {"type": "object"},
            "required": {"type": "boolean"},
            "role": {"type": "string"},
        },
    },
    samples=[
        Sample({"letter": "Dear Ada, ..."}, {"mode": "approve", "prompt": "Send this letter?"}, {"approved": True}),
        Sample({}, {"prompt": "Which colour?", "choices": ["red", "blue"]}, {"choice": "red"}),
        Sample(
            {},
            {
                "prompt": "Where to?",
                "schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            },
            {"city": "London"},
        ),
        Sample({}, {"mode": "text", "prompt": "Your name"}, {"text": "Ada", "message": {"role": "user", "content": "Ada"}}),
    ],
)
async def human_agent(context: AgentContext) -> Value:
    """Asks a person and gives the answer: `mode` approve, choose (one of `choices`), form (as `schema` says) or text.

    prompt, choices, schema and mode stand in params or come as inputs; all other inputs are shown to the person. Without a mode, choices
    mean choose, a schema means form, and neither means text. The values: {approved, comment?}, {choice}, the form itself, {text, message}
    as textInputAgent gives them. Where nobody is at the terminal the node waits, everything else goes on, and the run ends suspended:
    `graphferry answer` gives the answer, from this device or another one. The first answer that fits counts.
    """
    kind = _kind(context)
    prompt = option(context, "prompt")
    question = Question(
        path=context.path,
        at=context.at,
        kind=kind,
        prompt=shown(text(prompt) if truthy(prompt) else _ASKS[kind], _LONGEST_PROMPT),
        inputs={name: showable(value) for name, value in context.inputs.items() if name not in _OWN and value is not MISSING},
        choices=_choices(context) if kind == "choose" else (),
        schema=_schema(context) if kind == "form" else None,
        required=kind == "text" and truthy(context.params.get("required")),
    )
    answer = await _answer(context, question)
    return _as_message(context, answer) if kind == "text" else answer


@agent(
    "textInputAgent",
    category="input",
    effect="idempotent",
    needs=["people"],
    samples=[Sample({}, {"message": "Your name"}, {"text": "Ada", "message": {"role": "user", "content": "Ada"}})],
)
async def text_input_agent(context: AgentContext) -> Value:
    """Asks a person params.message ("Enter") and gives the answer; asks again while params.required is set and it is empty.

    Waits as humanAgent does where nobody is at the terminal.
    """
    message = given(context.params, "message")
    question = Question(
        path=context.path,
        at=context.at,
        kind="text",
        prompt=shown(text(message) if truthy(message) else "Enter", _LONGEST_PROMPT),
        required=truthy(context.params.get("required")),
    )
    return _as_message(context, await _answer(context, question))


_ASKS: Final[Mapping[Kind, str]] = {
    "approve": "Do you agree?",
    "choose": "Which one?",
    "form": "Please fill this in",
    "text": "Enter",
}
"""What is asked where the graph does not say."""


def _kind(context: AgentContext) -> Kind:
    mode = option(context, "mode")
    if mode is None or mode is MISSING:
        return "choose" if truthy(option(context, "choices")) else "form" if truthy(option(context, "schema")) else "text"
    if mode not in KINDS:
        raise refuse(f"humanAgent: there is no mode {shown(mode)}; there are {', '.join(KINDS)}")
    return cast("Kind", mode)


def _choices(context: AgentContext) -> list[Value]:
    choices = option(context, "choices")
    simple = isinstance(choices, list) and all(isinstance(each, (str, int, float, bool)) for each in choices)
    if not isinstance(choices, list) or not choices or not simple:
        raise refuse("humanAgent: choices has to be a list of texts or numbers, with one of them at least")
    return choices


def _schema(context: AgentContext) -> Mapping[str, Value]:
    schema = option(context, "schema")
    if not isinstance(schema, Mapping):
        raise refuse("humanAgent: the mode form needs a schema, a map")
    try:
        require_understood(schema, "schema", grammar=False)
    except ValueError as error:
        raise refuse(f"humanAgent: {error}") from error
    return schema


async def _answer(context: AgentContext, question: Question) -> Value:
    people = service(context, "people")
    if people is None:
        raise AnswerNeeded(
            question, hint="Nobody can be asked there. People are at a device, so a graph that asks them needs `place: edge`."
        )
    if not context.at:  # called by another agent, for instance as a tool: the question has no place of its own that could wait
        return await people.ask_now(question)
    answer, by = await people.answer(question)
    context.made_by(**by)
    return answer


def _as_message(context: AgentContext, answer: Value) -> Value:
    role = given(context.params, "role")
    return {"text": answer, "message": {"role": text(role) if truthy(role) else "user", "content": answer}}


@agent(
    "eventAgent",
    category="input",
    effect="once",
    needs=["people"],
    samples=[Sample({"order": 7}, {"type": "approval"}, {"approved": True})],
)
async def event_agent(context: AgentContext) -> Value:
    """Waits until code outside the graph answers the event {id, nodeId, agentId, type, params, namedInputs}; gives its answer."""
    events = service(context, "events")
    if events is None:
        raise refuse("eventAgent: nothing here answers events", hint="Start the run from a program that takes events.")
    return await events(
        {
            "id": context.key.hex(),
            "nodeId": context.node_id,
            "agentId": context.agent_name,
            "type": context.params.get("type"),
            "params": context.params,
            "namedInputs": context.inputs,
        }
    )


AGENTS: Final = (human_agent, text_input_agent, event_agent)

ASKING: Final = (human_agent, text_input_agent)
"""Those whose question is a record: whoever holds the run can put it, and the person may be anywhere."""
