"""Waiting, counting and streaming agents beyond their samples."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent_context import Context, context, run
from graphs.agents import control
from graphs.errors import NodeError
from graphs.registry import Agent


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds slept, which take no time here."""
    slept: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


@pytest.mark.parametrize(
    ("agent", "given", "seconds"),
    [
        (control.sleeper_agent, context({}, {"duration": 250}), [0.25]),
        (control.sleeper_agent, context(), [0.01]),
        (control.sleep_and_merge_agent, context({}, {"duration": 0}), [0.0]),
        (control.sleeper_agent_debug, context({}, {"duration": 90}, retry=2), [0.03]),
        (control.stream_mock_agent, context({"message": "ab"}, {"sleep": 5}), [0.005, 0.005]),
        (control.stream_mock_agent, context({"message": "a"}, {"sleep": 0}), [0.1]),
    ],
)
def test_how_long_they_sleep(agent: Agent, given: Context, seconds: list[float], naps: list[float]) -> None:
    run(agent, given)
    assert naps == seconds


@pytest.mark.parametrize(("retry", "fails"), [(0, True), (1, True), (2, False)])
def test_the_debug_sleeper_fails_twice(retry: int, fails: bool, naps: list[float]) -> None:
    given = context({"array": [{"a": 1}]}, {"duration": 1, "fail": True}, retry=retry)
    if fails:
        with pytest.raises(NodeError, match="Intentional Error for Debugging") as caught:
            run(control.sleeper_agent_debug, given)
        assert caught.value.retryable
    else:
        assert run(control.sleeper_agent_debug, given) == {"a": 1}


def test_characters_are_streamed_in_order(naps: list[float]) -> None:
    given = context({"message": "input"}, {"message": "hé😀"})
    assert run(control.stream_mock_agent, given) == {"message": "hé😀"}
    assert given.tokens == ["h", "é", "😀"]


def test_nothing_to_say_is_an_empty_message(naps: list[float]) -> None:
    assert run(control.stream_mock_agent, context()) == {"message": ""}


def test_a_message_is_text(naps: list[float]) -> None:
    with pytest.raises(NodeError, match="streamMockAgent: message is text, not 5"):
        run(control.stream_mock_agent, context({"message": 5}))


@pytest.mark.parametrize(
    "agent", [control.counting_agent, control.copy_message_agent, control.copy_2_array_agent], ids=lambda each: each.name
)
def test_counts_are_checked(agent: Agent) -> None:
    with pytest.raises(NodeError, match=f"{agent.name}: params.count"):
        run(agent, context({"x": 1}))


@pytest.mark.parametrize(("inputs", "element"), [({"item": 0, "x": 1}, {"item": 0, "x": 1}), ({"item": [0], "x": 1}, [0])])
def test_copies_are_of_the_item_if_there_is_one(inputs: dict[str, Any], element: Any) -> None:
    assert run(control.copy_2_array_agent, context(inputs, {"count": 2})) == [element, element]


def test_merging_starts_with_the_nodes_own_name() -> None:
    given = context({"array": [{"n": 1}, None, "no map"]}, node_id="n")
    assert run(control.merge_node_id_agent, given) == {"n": 1} | {str(i): c for i, c in enumerate("no map")}


def test_a_message_that_is_missing_is_repeated_as_null() -> None:
    assert run(control.copy_message_agent, context({}, {"count": 2})) == {"messages": [None, None]}
