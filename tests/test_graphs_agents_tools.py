"""The assistant with tools, its model and tools scripted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent_context import context, run
from graphs.agents import tools
from graphs.errors import NodeError
from graphs.values import MISSING

SYSTEM = {"role": "system", "content": "You switch lights."}
ASKED = {"role": "user", "content": "on!"}
CALLING = {"role": "assistant", "content": None, "tool_calls": ["raw"]}
DONE = {"role": "assistant", "content": "It is on."}
OFFERED = [{"type": "function", "function": {"name": name}} for name in ("lamp--on", "lamp--off", "bare")]


class Agents:
    """Stands for the registry: a model that asks for tools once, and a lamp."""

    def __init__(self, *tool_names: str) -> None:
        self.calls: list[tuple[str, Any, Any]] = []
        self._tool_calls = [{"id": f"c{i}", "name": name, "arguments": {"n": i}} for i, name in enumerate(tool_names)]

    async def __call__(self, name: str, inputs: dict[str, Any], params: dict[str, Any]) -> Any:
        self.calls.append((name, inputs, params))
        if name != "llmAgent":
            await asyncio.sleep(0)
            if inputs["arg"] == {"n": 9}:
                raise NodeError("lamp is broken")
            return {"content": f"{name} {inputs['arg']['n']}", "data": inputs["data"]}
        asked_already = any(message["role"] == "tool" for message in inputs["messages"])
        if asked_already or not self._tool_calls:
            return {"message": DONE, "tool_calls": []}
        return {"message": CALLING, "tool_calls": self._tool_calls, "tool": self._tool_calls[0]}


def using(agents: Agents, **more: Any) -> Any:
    inputs = {"llmAgent": "llmAgent", "messages": [SYSTEM], "userInput": {"text": "on!"}, "tools": OFFERED, **more}
    return run(tools.tools_agent, context(inputs, services={"call_agent": agents}))


def test_without_tool_calls_the_answer_ends_the_history() -> None:
    agents = Agents()
    assert using(agents, llmModel="large", stream=False) == {"messages": [SYSTEM, ASKED, DONE]}
    (call,) = agents.calls
    assert call == (
        "llmAgent",
        {"messages": [SYSTEM], "prompt": "on!", "tools": OFFERED},
        {"forWeb": True, "dataStream": False, "model": "large"},
    )


def test_tools_are_called_and_the_model_asked_again() -> None:
    agents = Agents("lamp--on", "lamp--off", "bare")
    got = using(agents, passthrough={"lamp": {"volts": 12}})
    replies = [
        {"role": "tool", "tool_call_id": "c0", "content": "lamp 0", "extra": {"agent": "lamp", "arg": {"n": 0}, "func": "on"}},
        {"role": "tool", "tool_call_id": "c1", "content": "lamp 1", "extra": {"agent": "lamp", "arg": {"n": 1}, "func": "off"}},
        {"role": "tool", "tool_call_id": "c2", "content": "bare 2", "extra": {"agent": "bare", "arg": {"n": 2}}},
    ]
    assert got["messages"] == [SYSTEM, ASKED, CALLING, *replies, DONE]
    assert got["data"] == {
        "lamp--on": {"content": "lamp 0", "data": {"volts": 12}},
        "lamp--off": {"content": "lamp 1", "data": {"volts": 12}},
        "bare": {"content": "bare 2", "data": {}},
    }
    lamp = next(inputs for name, inputs, _ in agents.calls if name == "lamp")
    assert lamp == {
        "arg": {"n": 0},
        "func": "on",
        "tool_call": {"id": "c0", "name": "lamp--on", "arguments": {"n": 0}},
        "data": {"volts": 12},
    }
    name, inputs, params = agents.calls[-1]
    assert (name, "prompt" in inputs, "tools" in inputs, params) == (
        "llmAgent",
        False,
        False,
        {"forWeb": True, "dataStream": True},
    )


def test_a_tool_that_was_not_offered_is_not_called() -> None:
    agents = Agents("fileWriteAgent--run")
    with pytest.raises(NodeError, match="a tool that it was not offered"):
        using(agents)
    assert [name for name, _, _ in agents.calls] == ["llmAgent"]


def test_a_tool_that_fails_fails_the_node_and_leaves_no_task_behind() -> None:
    agents = Agents("lamp--on", *["lamp--off"] * 9)
    with pytest.raises(NodeError, match="lamp is broken"):
        using(agents)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"llmAgent": ""}, "namedInputs.llmAgent is UNDEFINED!"),
        ({"messages": "x"}, "namedInputs.messages is not Array."),
        ({"tools": {}}, "namedInputs.tools is not Array."),
        ({"userInput": "on!"}, "userInput is a map with text"),
        ({"userInput": MISSING}, "userInput is a map with text"),
    ],
)
def test_wrong_inputs(more: dict[str, Any], message: str) -> None:
    with pytest.raises(NodeError) as caught:
        using(Agents(), **more)
    assert message in caught.value.message


def test_a_model_that_gives_no_map() -> None:
    async def call(name: str, inputs: Any, params: Any) -> str:
        return "text"

    inputs = {"llmAgent": "x", "userInput": {"text": "on!"}}
    with pytest.raises(NodeError, match="x gave no map with a message"):
        run(tools.tools_agent, context(inputs, services={"call_agent": call}))
