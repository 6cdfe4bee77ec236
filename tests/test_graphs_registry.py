"""Agents and the table of those known."""

from __future__ import annotations

from typing import Any

import pytest

from graphs.registry import Registry, agent


@agent("greet", aliases=["hello"], effect="none")
def greet(_context: Any) -> str:
    """Says hello
    to somebody.

    More than that it does not do.
    """
    return "hi"


@agent("wait")
async def wait(_context: Any) -> None:
    return None


def test_an_agent_knows_what_its_function_says_of_it() -> None:
    assert greet.description == "Says hello to somebody."
    assert greet.run(None) == "hi"
    assert not greet.is_async
    assert wait.is_async
    assert wait.description == ""


def test_an_effect_that_is_not_declared_may_happen_only_once() -> None:
    assert (greet.effect, wait.effect) == ("none", "once")


def test_agents_are_found_by_name_and_alias() -> None:
    registry = Registry([greet, wait])
    assert registry["greet"] is registry["hello"] is greet
    assert set(registry) == {"greet", "hello", "wait"}
    assert len(registry) == 3
    assert "nobody" not in registry
    with pytest.raises(KeyError):
        registry["nobody"]


def test_a_later_agent_replaces_an_earlier_one_of_its_name() -> None:
    other = agent("greet")(lambda _: "ho")
    registry = Registry([greet])
    more = registry.with_agents([other])
    assert more["greet"] is other
    assert more["hello"] is greet
    assert registry["greet"] is greet


def test_two_agents_of_the_same_making_are_not_the_same() -> None:
    def run(_context: Any) -> None:
        return None

    assert agent("a")(run) != agent("a")(run)
    assert len({agent("a")(run), agent("a")(run)}) == 2
