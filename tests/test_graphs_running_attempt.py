"""An attempt as its agent and its recorder see it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from graphs.errors import NodeError
from graphs.registry import agent
from graphs.running.attempt import execution_key
from graphs.running.ports import Services
from graphs.values import MISSING, Value
from runs import run


def test_the_key_of_an_execution_is_made_of_run_and_path() -> None:
    assert execution_key(b"run", "a/b#1") == hashlib.sha256(b"runa/b#1").digest()[:16]
    assert execution_key(b"run", "a") != execution_key(b"other", "a")


def test_the_key_stays_while_what_is_around_the_node_is_tried_again() -> None:
    key = execution_key(b"run", "plan/step")
    assert execution_key(b"run", "plan!1/step") == execution_key(b"run", "plan!12/step") == key
    others = ["plan#1/step", "plan[1]/step", "plan/step#1", "plan%211/step"]
    assert len({key, *(execution_key(b"run", path) for path in others)}) == 5


def test_retries_and_turns_and_rows_and_their_keys() -> None:
    keys: dict[str, set[bytes]] = {}
    tries = {"count": 0}

    def pay(context: Any) -> Value:
        keys.setdefault(context.path, set()).add(context.key)
        if context.retry == 0:
            raise NodeError("not yet")
        return 1

    def fail_once(_context: Any) -> Value:
        tries["count"] += 1
        if tries["count"] == 1:
            raise NodeError("not yet")
        return 1

    inner = {
        "nodes": {
            "pay": {"agent": "pay", "retry": 1, "inputs": {"of": ":row"}},
            "then": {"agent": "fail", "inputs": {"of": ":pay"}, "isResult": True},
        }
    }
    nodes = {"m": {"agent": "mapAgent", "inputs": {"rows": [1, 2]}, "graph": inner, "retry": 1, "isResult": True}}
    run(nodes, {"pay": pay, "fail": fail_once})
    assert set(keys) == {"m[0]/pay", "m[1]/pay", "m[0]!1/pay", "m[1]!1/pay"}
    assert all(len(each) == 1 for each in keys.values())
    assert keys["m[0]/pay"] == keys["m[0]!1/pay"] != keys["m[1]/pay"] == keys["m[1]!1/pay"]


def test_an_agent_that_is_called_has_a_key_for_each_thing_it_is_asked() -> None:
    seen: list[list[bytes]] = []

    def pay(context: Any) -> Value:
        seen[-1].append(context.key)
        assert context.key == context.key
        return 1

    async def clerk(context: Any) -> Value:
        seen.append([context.key])
        for amount in (1, 2, 1):
            await context.call_agent("pay", {"amount": amount, "gone": MISSING}, {"to": "x"})
        await context.call_agent("pay", {"amount": 1}, {"to": "y"})
        if context.retry == 0:
            raise NodeError("once more")
        return 1

    run({"n": {"agent": "clerk", "retry": 1}}, {"clerk": clerk, "pay": pay})
    first, again = seen
    assert first == again, "a repetition asks the same"
    assert len(set(first)) == 5
    assert all(len(each) == 16 for each in first)


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
