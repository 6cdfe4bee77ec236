"""An assistant that calls agents as tools until it needs no more of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from graphs.agents.common import given, option, refuse
from graphs.agents.llm import conversation
from graphs.errors import GraphferryError, LinkCondition, ModelCrashed, ModelRefused, NodeError
from graphs.language.jstext import is_number, json_text, parse_json, text, truthy
from graphs.models.schemas import UNUSABLE, misfit
from graphs.registry import AgentContext, Sample, agent
from graphs.values import MISSING, Value

__all__ = ["AGENTS"]

_TURNS: Final = 8
_MOST_TURNS: Final = 64
_MOST_RESULT: Final = 8000
_CRASHES: Final = 2
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ASKED: Final = ("prompt", "system", "message")
_HANDED_ON: Final = ("temperature", "max_tokens", "top_p", "seed", "stop", "stream", "dataStream", "fit")

_TOOLS: Final = {
    "type": "array",
    "items": {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {
                    "agent": {"type": "string"},
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "parameters": {"type": "object"},
                    "inputs": {"type": "object"},
                    "params": {"type": "object"},
                },
                "required": ["agent"],
            },
        ]
    },
}


@dataclass(frozen=True, slots=True)
class _Tool:
    """An agent as the model sees it: `inputs` and `params` are the graph's, and the model cannot change them."""

    name: str
    agent: str
    description: str
    parameters: Mapping[str, Value]
    inputs: Mapping[str, Value]
    params: Mapping[str, Value]

    def as_function(self) -> dict[str, Value]:
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


class _Unusable(NodeError):
    """A call that cannot be carried out as the model wrote it."""

    code = "TOOL_CALL_INVALID"


@agent(
    "toolLoopAgent",
    category="llm",
    effect="once",
    needs=["model"],
    stream=True,
    inputs={
        "type": "object",
        "properties": {
            "prompt": {"type": ["string", "array"]},
            "system": {"type": ["string", "array"]},
            "messages": {"type": "array", "items": {"type": "object"}},
            "message": {"type": "object"},
            "tools": _TOOLS,
            "model": {"type": "string"},
        },
    },
    params={
        "type": "object",
        "properties": {
            "tools": _TOOLS,
            "model": {"type": "string"},
            "llmAgent": {"type": "string"},
            "maxTurns": {"type": "integer"},
            "onToolError": {"enum": ["tell", "fail"]},
            "tool_choice": {"type": ["string", "object"]},
        },
    },
    samples=[
        Sample(
            {"prompt": "hello"},
            {"tools": [{"agent": "stringCaseVariantsAgent", "description": "Writes words in other cases."}]},
            {
                "text": "hi",
                "message": {"role": "assistant", "content": "hi"},
                "messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}],
                "calls": [],
                "turns": 1,
                "stopped": "answer",
            },
        )
    ],
)
async def tool_loop_agent(context: AgentContext) -> Value:
    """Asks a model, calls the agents it asks for, tells it what they gave, and asks again until it calls none.

    Inputs over params: prompt, system, messages, message, tools, model, temperature, max_tokens, seed and the like as llmAgent has
    them. A tool is the name of an agent, or {agent, name, description, parameters, inputs, params}: `parameters` is the JSON schema of
    what the model may set; it becomes the agent's inputs, with the tool's own `inputs` laid over it. Agents are called one after the
    other. params.maxTurns (8) is how often the model may call tools; after that it is asked once more, to answer without them.
    params.llmAgent says who asks the model, params.tool_choice what the first turn must call. What a tool raises is told to the
    model as {error: {code, message}}, or fails the node with params.onToolError: fail.
    Gives {text, message, messages, calls: [{turn, name, agent, arguments, result | error}], turns, stopped: answer | limit}.
    """
    tools = _tools(context)
    limit = _limit(context)
    calls: list[Value] = []
    asked = {name: value for name in _ASKED if truthy(value := option(context, name))}
    history = option(context, "messages")
    messages: list[Value] = list(history) if isinstance(history, list) else []
    turn = 1
    try:
        while True:
            choice = "none" if turn > limit else option(context, "tool_choice") if turn == 1 else MISSING
            question = {**asked, "messages": messages}
            try:
                answer = await _ask(context, question, tools, choice)
            except ModelRefused as refusal:
                answer = _misjudged(refusal, question, turn)
            asked, messages = {}, list(answer["messages"])
            wanted = answer.get("tool_calls")
            if turn > limit or not isinstance(wanted, list) or not wanted:
                return _value(answer, messages, calls, turn, "limit" if turn > limit else "answer")
            for call in wanted:
                reply, done = await _use(context, turn, call if isinstance(call, dict) else {}, tools)
                messages.append(reply)
                calls.append(done)
            turn += 1
    except LinkCondition as condition:
        raise _not_again(context, condition, calls) from condition


def _tools(context: AgentContext) -> dict[str, _Tool]:
    listed = option(context, "tools")
    if not isinstance(listed, list) or not listed:
        raise refuse("toolLoopAgent: params.tools is a list of names of agents, or of maps with agent")
    tools = [_tool(context, position, each) for position, each in enumerate(listed)]
    if len({tool.name for tool in tools}) < len(tools):
        raise refuse("toolLoopAgent: two of params.tools have the same name", hint="Give one of them another `name`.")
    return {tool.name: tool for tool in tools}


def _tool(context: AgentContext, position: int, entry: Value) -> _Tool:
    entry = {"agent": entry} if isinstance(entry, str) else entry
    if not isinstance(entry, dict) or not isinstance(entry.get("agent"), str):
        raise refuse(f"toolLoopAgent: params.tools[{position}] is neither the name of an agent nor a map with agent")
    name = entry.get("name", entry["agent"])
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise refuse(f"toolLoopAgent: params.tools[{position}].name has at most 64 letters, digits, dashes and underscores")
    maps = {key: given(entry, key) for key in ("parameters", "inputs", "params")}
    if any(value is not MISSING and not isinstance(value, dict) for value in maps.values()):
        raise refuse(f"toolLoopAgent: parameters, inputs and params of tool {name} are maps")
    known = context.find_agent(entry["agent"])
    parameters = (
        maps["parameters"] if maps["parameters"] is not MISSING else (known.inputs if known else None) or {"type": "object"}
    )
    return _Tool(
        name,
        entry["agent"],
        text(entry["description"]) if truthy(entry.get("description")) else known.description if known else "",
        parameters,
        maps["inputs"] or {},
        maps["params"] or {},
    )


def _limit(context: AgentContext) -> int:
    turns = given(context.params, "maxTurns")
    if turns is MISSING:
        return _TURNS
    if not is_number(turns) or turns != turns // 1 or not 1 <= turns <= _MOST_TURNS:
        raise refuse(f"toolLoopAgent: params.maxTurns must be a whole number from 1 to {_MOST_TURNS}")
    return int(turns)


async def _ask(context: AgentContext, inputs: dict[str, Value], tools: Mapping[str, _Tool], choice: Value) -> Mapping[str, Value]:
    name = given(context.params, "llmAgent")
    params = {key: value for key in _HANDED_ON if (value := option(context, key)) is not MISSING}
    model = next((each for each in (option(context, "model"), context.model) if truthy(each)), None)
    if model is not None:
        params["model"] = model
    if truthy(choice):
        params["tool_choice"] = choice
    inputs = {**inputs, "tools": [tool.as_function() for tool in tools.values()]}
    asker = "llmAgent" if name is MISSING else text(name)
    for _ in range(_CRASHES):  # here and not by the engine, which would begin with the first turn again
        with suppress(ModelCrashed):
            answer = await context.call_agent(asker, inputs, params)
            break
    else:
        answer = await context.call_agent(asker, inputs, params)
    if not isinstance(answer, dict) or not isinstance(answer.get("messages"), list):
        raise NodeError("toolLoopAgent: its llmAgent gave no map with messages", retryable=False)
    return answer


def _misjudged(refusal: ModelRefused, question: Mapping[str, Value], turn: int) -> Mapping[str, Value]:
    """The answer that a model on this machine was refused for: whole calls, but not as their schemas demand where no grammar can hold it
    to them. They are looked at like calls from anywhere, and what is wrong with them is told to the model. Raises any other refusal.
    """
    detail = refusal.detail if isinstance(refusal.detail, dict) else {}
    try:
        found = parse_json(text(detail.get("answer", "")))
    except NodeError:
        raise refusal from None
    said = found if isinstance(found, list) else [found]
    if not said or not all(isinstance(call, dict) and {"name", "arguments"} <= {*call} for call in said):
        raise refusal
    calls = [
        {"id": f"call_{turn}_{number}", "name": call["name"], "arguments": call["arguments"]} for number, call in enumerate(said)
    ]
    functions = [{"name": call["name"], "arguments": json_text(call["arguments"])} for call in calls]
    written = [{"id": call["id"], "type": "function", "function": each} for call, each in zip(calls, functions, strict=True)]
    message = {"role": "assistant", "content": None, "tool_calls": written}
    return {"text": None, "message": message, "messages": [*conversation(question, {}), message], "tool_calls": calls}


async def _use(context: AgentContext, turn: int, call: Mapping[str, Value], tools: Mapping[str, _Tool]) -> tuple[Value, Value]:
    """What is told to the model of one call, and what the result says of it."""
    name, arguments = call.get("name"), call.get("arguments", MISSING)
    tool = tools.get(name) if isinstance(name, str) else None
    done: dict[str, Value] = {"turn": turn, "name": name, "agent": tool.agent if tool else None, "arguments": arguments}
    try:
        result = await _called(context, tool, name, arguments)
        told = result if isinstance(result, str) else json_text(result)
        done["result"] = result
    except LinkCondition:
        raise  # nothing the tool did: the node waits
    except Exception as error:
        if given(context.params, "onToolError") == "fail":
            raise
        code = error.code if isinstance(error, GraphferryError) else NodeError.code
        message = error.message if isinstance(error, GraphferryError) else str(error) or type(error).__name__
        done["error"] = {"code": code, "message": message}
        told = json_text({"error": done["error"]})
    if len(told) > _MOST_RESULT:
        told = f"{told[:_MOST_RESULT]}... ({len(told) - _MOST_RESULT} more characters)"
    return {"role": "tool", "tool_call_id": call.get("id", MISSING), "name": name, "content": told}, done


async def _called(context: AgentContext, tool: _Tool | None, name: Value, arguments: Value) -> Value:
    if tool is None:
        raise _Unusable(f"there is no tool {text(name)}", retryable=False)
    if not isinstance(arguments, dict):
        raise _Unusable(f"the arguments of {tool.name} are not a JSON object", retryable=False)
    try:
        problem = misfit(arguments, tool.parameters, where="arguments")
    except UNUSABLE as error:
        raise _Unusable(f"the parameters of {tool.name} cannot be used: {error}", retryable=False) from error
    if problem:
        raise _Unusable(problem, retryable=False)
    return await context.call_agent(tool.agent, {**arguments, **tool.inputs}, dict(tool.params))


def _not_again(context: AgentContext, condition: LinkCondition, calls: list[Value]) -> GraphferryError:
    """The condition, which has the node begun again later, unless a tool was called that must not be called twice."""
    for call in calls:
        known = context.find_agent(call["agent"]) if call["agent"] else None
        if known is not None and known.effect == "once" and (call.get("error") or {}).get("code") != _Unusable.code:
            return NodeError(
                f"{condition.message} Tool {call['name']} had been called by then and may not be called twice, so this node is not begun again.",
                retryable=False,
                hint=condition.hint,
                detail={"condition": condition.condition, "calls": len(calls)},
            )
    return condition


def _value(answer: Mapping[str, Value], messages: list[Value], calls: list[Value], turns: int, stopped: str) -> dict[str, Value]:
    return {
        "text": answer.get("text", MISSING),
        "message": answer.get("message", MISSING),
        "messages": messages,
        "calls": calls,
        "turns": turns,
        "stopped": stopped,
    }


AGENTS: Final = (tool_loop_agent,)
