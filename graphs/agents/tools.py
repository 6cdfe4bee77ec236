"""An assistant that may call other agents as tools (graph-spec §12)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from graphs.agents.common import given, refuse
from graphs.errors import NodeError
from graphs.language.jstext import text, truthy
from graphs.registry import AgentContext, Sample, agent
from graphs.values import MISSING, Value

__all__ = ["AGENTS"]

_CallAgent: TypeAlias = Callable[[str, dict[str, Value], dict[str, Value]], Awaitable[Value]]

_LIGHT_TOOL: Final = {"type": "function", "function": {"name": "echoTool--say", "parameters": {"type": "object"}}}


@agent(
    "toolsAgent",
    category="llm",
    effect="once",
    needs=["model"],
    samples=[
        Sample(
            {"llmAgent": "llmAgent", "messages": [], "userInput": {"text": "hello"}, "tools": [_LIGHT_TOOL]},
            {},
            {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]},
        )
    ],
)
async def tools_agent(context: AgentContext) -> Value:
    """Asks the agent named by llmAgent with tools, calls the agents the answer asks for, then asks again with what they gave.

    Tools are named AGENT--FUNCTION. Inputs: llmAgent, llmModel, messages, userInput {text}, tools, passthrough, stream. Gives
    {messages, data}: the history with what was said now, and what each tool gave, by its name.
    """
    call = context.call_agent
    history = _listed(context, "messages")
    asked = {"role": "user", "content": _question(context)}
    first = await _ask(context, call, [*history], prompt=asked["content"], tools=_listed(context, "tools"))
    calls = first.get("tool_calls")
    if not isinstance(calls, list) or not calls:
        return {"messages": [*history, asked, first.get("message")]}
    results = await _all([_use(context, call, each) for each in calls])
    replies = [_reply(each, result) for each, result in zip(calls, results, strict=True)]
    spoken = [asked, first.get("message"), *replies]
    last = await _ask(context, call, spoken)
    data = {each["name"]: result for each, result in zip(calls, results, strict=True)}
    return {"data": data, "messages": [*history, *spoken, last.get("message")]}


def _listed(context: AgentContext, key: str) -> list[Value]:
    value = given(context.inputs, key)
    if value is MISSING:
        return []
    if not isinstance(value, list):
        raise refuse(f"toolsAgent: namedInputs.{key} is not Array.")
    return value


def _question(context: AgentContext) -> Value:
    asked = context.inputs.get("userInput")
    if not isinstance(asked, dict) or not truthy(asked.get("text")):
        raise refuse("toolsAgent: namedInputs.userInput is a map with text")
    return asked["text"]


async def _ask(context: AgentContext, call: _CallAgent, messages: list[Value], **more: Value) -> dict[str, Any]:
    name, model, stream = context.inputs.get("llmAgent"), context.inputs.get("llmModel"), given(context.inputs, "stream")
    if not truthy(name):
        raise refuse("toolsAgent: namedInputs.llmAgent is UNDEFINED! Set inputs: { llmAgent: llmAgent }")
    params: dict[str, Value] = {"forWeb": True, "dataStream": True if stream is MISSING else stream}
    if truthy(model):
        params["model"] = model
    answer = await call(text(name), {"messages": messages, **more}, params)
    if not isinstance(answer, dict):
        raise NodeError(f"toolsAgent: {text(name)} gave no map with a message")
    return answer


async def _use(context: AgentContext, call: _CallAgent, tool_call: Value) -> Value:
    """One tool's answer. Only tools that were offered are called: the name is the model's words."""
    name = tool_call.get("name") if isinstance(tool_call, dict) else None
    offered = [(tool.get("function") or {}).get("name") for tool in _listed(context, "tools") if isinstance(tool, dict)]
    if not isinstance(name, str) or name not in offered:
        raise NodeError("toolsAgent: the model called a tool that it was not offered")
    agent_name, function = _parts(name)
    passthrough = context.inputs.get("passthrough")
    data = passthrough.get(agent_name) if isinstance(passthrough, dict) else None
    inputs = {
        "arg": tool_call.get("arguments", MISSING),
        "func": function,
        "tool_call": tool_call,
        "data": data if truthy(data) else {},
    }
    return await call(agent_name, inputs, {})


def _parts(name: str) -> tuple[str, Value]:
    parts = name.split("--")
    return parts[0], parts[1] if len(parts) > 1 else MISSING


def _reply(tool_call: dict[str, Value], result: Value) -> dict[str, Value]:
    agent_name, function = _parts(tool_call["name"])
    return {
        "role": "tool",
        "tool_call_id": tool_call.get("id", MISSING),
        "content": result.get("content", MISSING) if isinstance(result, dict) else MISSING,
        "extra": {"agent": agent_name, "arg": tool_call.get("arguments", MISSING), "func": function},
    }


async def _all(uses: list[Awaitable[Value]]) -> list[Value]:
    """All results in order; the first failure ends the others."""
    tasks = [asyncio.ensure_future(use) for use in uses]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


AGENTS: Final = (tools_agent,)
