"""An attempt as its agent and its recorder see it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from graphs.errors import NodeError
from graphs.registry import agent
from graphs.running.attempt import execution_key
from graphs.running.ports import Services
from graphs.values import Value
from runs import run


def test_the_key_of_an_execution_is_made_of_run_and_path() -> None:
    assert execution_key(b"run", "a/b#1") == hashlib.sha256(b"runa/b#1").digest()[:16]
    assert execution_key(b"run", "a") != execution_key(b"other", "a")


def seen_by(node: dict[str, Any], **options: Any) -> Any:
    """The attempt of a node `n` after its run, and the inputs it had."""
    kept: list[Any] = []

    def look(context: Any) -> Value:
        kept.append((context, dict(context.inputs)))
        return 1

    run({"name": {"value": "look"}, "n": {"agent": "look", **node}}, {"look": look}, **options)
    return kept[-1]


def attempt(node: dict[str, Any], **options: Any) -> Any:
    return seen_by(node, **options)[0]


def test_what_an_agent_is_told() -> None:
    services = Services(files="/granted")
    node = {"params": {"p": 1}, "inputs": {"x": 2}, "isResult": True, "model": "large", "filterParams": {"f": 3}}
    context, inputs = seen_by(node, services=services, config={"global": {"c": 4}})
    assert (context.node_id, context.agent_name, context.path, context.retry) == ("n", "look", "n", 0)
    assert (dict(context.params), inputs, context.is_result, context.model) == ({"p": 1}, {"x": 2}, True, "large")
    assert (context.filter_params, context.config, context.services) == ({"f": 3}, {"c": 4}, services)
    assert (context.run, context.priority) == (context.runtime.run_id.hex(), 0)
    assert attempt({"priority": 2}).priority == 2


def test_an_agent_knows_the_name_it_was_called_by() -> None:
    names = []
    named = agent("real", aliases=["alias"], effect="none")(lambda context: names.append(context.agent_name))
    nodes = {"which": {"value": "alias"}, "a": {"agent": "alias"}, "b": {"agent": ":which"}}
    run(nodes, {"real": named})
    assert names == ["alias", "real"]


@pytest.mark.parametrize(
    ("said", "effect"), [({}, "none"), ({"effect": "once"}, "once"), ({"effect": "idempotent"}, "idempotent")]
)
def test_the_nodes_word_on_effects_counts_before_the_agents(said: dict[str, str], effect: str) -> None:
    assert attempt(said).effect == effect


def test_provenance_is_the_agents_and_what_it_said_of_itself() -> None:
    context = attempt({})
    assert context.provenance() == ({"agent": "look", "version": "1"}, None)
    context.made_by(model="m")
    context.used(tokens=2)
    context.used(tokens=3)
    assert context.provenance() == ({"agent": "look", "version": "1", "model": "m"}, {"tokens": 5})


def test_an_agent_may_call_another_as_part_of_its_attempt() -> None:
    async def calls(context: Any) -> Value:
        return await context.call_agent("copyAgent", {"x": 1}, {})

    assert run({"n": {"agent": "calls"}}, {"calls": calls}).engine.results() == {"n": {"x": 1}}


@pytest.mark.parametrize("name", ["nobody", "nestedAgent"])
def test_an_agent_that_cannot_be_called_fails_the_caller(name: str) -> None:
    async def calls(context: Any) -> Value:
        return await context.call_agent(name, {}, {})

    error = run({"n": {"agent": "calls"}}, {"calls": calls}).engine.errors()["n"]
    assert isinstance(error, NodeError)
    assert name in str(error)
