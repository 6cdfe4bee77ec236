"""Agents that wait, count and repeat: mostly for trying graphs out."""

from __future__ import annotations

import asyncio
from typing import Final

from graphs.agents.common import duration, given, merge_all, refuse, require_array, require_inputs, whole_count
from graphs.errors import NodeError
from graphs.language.jstext import entries, text, truthy
from graphs.registry import AgentContext, Sample, agent
from graphs.values import MISSING, Value

__all__ = ["AGENTS"]

_SLEEP_MS: Final = 10
_TOKEN_MS: Final = 100
_FAILURES: Final = 2


@agent("sleeperAgent", category="sleeper", effect="none", samples=[Sample({"a": 1}, {"duration": 1}, {"a": 1})])
async def sleeper_agent(context: AgentContext) -> Value:
    """Waits params.duration milliseconds (10), then gives its inputs."""
    await asyncio.sleep(duration(context.params.get("duration"), _SLEEP_MS))
    return context.inputs


@agent(
    "sleepAndMergeAgent",
    category="sleeper",
    effect="none",
    samples=[
        Sample(
            {"array": [{"m": {"x": 1}, "base": [1]}, {"m": {"y": 2}}]},
            {"duration": 1, "value": {"base": [0]}},
            {"base": [0, 1], "m": {"x": 1, "y": 2}},
        ),
        Sample({}, {"duration": 1}, {}),
    ],
)
async def sleep_and_merge_agent(context: AgentContext) -> Value:
    """Waits params.duration milliseconds (10), then merges the maps of array onto params.value at every depth."""
    await asyncio.sleep(duration(context.params.get("duration"), _SLEEP_MS))
    return _merged("sleepAndMergeAgent", context)


@agent(
    "sleeperAgentDebug",
    category="sleeper",
    effect="none",
    samples=[Sample({"array": [{"a": 1}, {"b": 2}]}, {"duration": 1}, {"a": 1, "b": 2})],
)
async def sleeper_agent_debug(context: AgentContext) -> Value:
    """Like sleepAndMergeAgent, but sleeps less with each retry, and with params.fail fails until the third attempt."""
    await asyncio.sleep(duration(context.params.get("duration"), _SLEEP_MS) / (context.retry + 1))
    if truthy(context.params.get("fail")) and context.retry < _FAILURES:
        raise NodeError("Intentional Error for Debugging")
    return _merged("sleeperAgentDebug", context)


def _merged(name: str, context: AgentContext) -> Value:
    array, start = given(context.inputs, "array"), given(context.params, "value")
    return merge_all(name, {} if start is MISSING else start, [] if array is MISSING else array)


@agent("countingAgent", category="test", effect="none", cheap=True, samples=[Sample({}, {"count": 4}, {"list": [0, 1, 2, 3]})])
def counting_agent(context: AgentContext) -> Value:
    """Counts: the numbers from 0, params.count of them."""
    return {"list": list(range(whole_count("countingAgent", context)))}


@agent(
    "copyMessageAgent",
    category="test",
    effect="none",
    cheap=True,
    samples=[Sample({}, {"count": 2, "message": "hey"}, {"messages": ["hey", "hey"]})],
)
def copy_message_agent(context: AgentContext) -> Value:
    """Repeats params.message params.count times."""
    return {"messages": [context.params.get("message", MISSING)] * whole_count("copyMessageAgent", context)}


@agent(
    "copy2ArrayAgent",
    category="test",
    effect="none",
    cheap=True,
    samples=[Sample({"item": {"k": 1}}, {"count": 2}, [{"k": 1}, {"k": 1}]), Sample({"x": 1}, {"count": 1}, [{"x": 1}])],
)
def copy_2_array_agent(context: AgentContext) -> Value:
    """Gives a list of params.count times the input item, or all inputs if there is none."""
    require_inputs("copy2ArrayAgent", context.inputs)
    item = context.inputs.get("item")
    return [item if truthy(item) else context.inputs] * whole_count("copy2ArrayAgent", context)


@agent(
    "mergeNodeIdAgent",
    category="test",
    effect="none",
    cheap=True,
    samples=[Sample({"array": [{"a": 1}, {"a": 2, "b": 3}]}, {}, {"node": "hello", "a": 2, "b": 3})],
)
def merge_node_id_agent(context: AgentContext) -> Value:
    """Merges the maps of array, starting with the node's own name."""
    array = require_array("mergeNodeIdAgent", context.inputs)
    return {context.node_id: "hello", **{key: value for item in array for key, value in entries(item)}}


@agent(
    "streamMockAgent",
    category="test",
    effect="none",
    stream=True,
    samples=[
        Sample({}, {"message": "hé", "sleep": 1}, {"message": "hé"}),
        Sample({"message": "hi"}, {"sleep": 1}, {"message": "hi"}),
    ],
)
async def stream_mock_agent(context: AgentContext) -> Value:
    """Streams the characters of params.message, or of the input message, one each params.sleep milliseconds (100)."""
    message = given(context.params, "message")
    message = given(context.inputs, "message") if message is MISSING else message
    message = "" if message is MISSING else message
    if not isinstance(message, str):
        raise refuse(f"streamMockAgent: message is text, not {text(message)}")
    sleep = context.params.get("sleep")
    pause = duration(sleep if truthy(sleep) else None, _TOKEN_MS)
    for character in message:
        context.stream(character)
        await asyncio.sleep(pause)
    return {"message": message}


AGENTS: Final = (
    sleeper_agent,
    sleep_and_merge_agent,
    sleeper_agent_debug,
    counting_agent,
    copy_message_agent,
    copy_2_array_agent,
    merge_node_id_agent,
    stream_mock_agent,
)
