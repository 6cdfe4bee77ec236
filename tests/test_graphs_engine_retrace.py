"""What of a run holds for another one: exactly what the engine, asked again, would hand the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from graphs.agents import standard
from graphs.engine.engine import Engine
from graphs.engine.events import Outcome
from graphs.engine.plan import Compiler
from graphs.engine.retrace import is_below, retrace
from graphs.language.spec import Graph
from graphs.records import State
from graphs.registry import Agent
from graphs.running.runtime import Runtime
from graphs.values import Value


@pytest.mark.parametrize(
    ("path", "node", "below"),
    [
        ("a", "a", True),
        ("ab", "a", False),
        ("a/b", "a", True),
        ("a[2]/b", "a", True),
        ("a[2]#3!1/b", "a", True),
        ("a#3", "a", True),
        ("a#3", "a#3", True),
        ("a#4", "a#3", False),
        ("a[1]#3/b", "a#3", True),
        ("a[1]/b", "a[1]/b", True),
        ("a[1]!2/b#0", "a[1]/b", True),
        ("a[11]/b", "a[1]/b", False),
        ("a[1]/b/c", "a[1]/b", True),
        ("a[1]/b", "a/b", True),
        ("x/a", "a", False),
    ],
)
def test_what_is_meant_by_a_node(path: str, node: str, below: bool) -> None:
    assert is_below(path, node) is below


def think(context: Any) -> Value:
    return {"text": "|".join(str(each) for each in context.inputs.values())}


AGENTS = standard().with_agents([Agent("think", think, effect="none"), Agent("send", think, effect="once")])


def outcomes(document: Mapping[str, Any], inject: Mapping[str, Value] | None = None) -> dict[str, Outcome]:
    """What a run of it records."""
    import asyncio

    from graphs.records import Result
    from graphs.running.recorder import LogRecorder

    found: dict[str, Outcome] = {}

    def append(record: Any) -> int:
        if isinstance(record, Result):
            found[record.path] = Outcome(State.COMPLETED, record.value)
        return 1

    async def durable() -> None:
        return None

    compiler = Compiler(AGENTS)
    runtime = Runtime(compiler.plan(Graph.of(document, AGENTS)), compiler, recorder=LogRecorder(append, durable))
    assert asyncio.run(runtime.run(inject or {})) == State.COMPLETED
    return found


def engine(document: Mapping[str, Any], skipped: Mapping[str, Outcome]) -> Engine:
    from graphs.running.attempt import Attempt

    compiler = Compiler(AGENTS)
    plan = compiler.plan(Graph.of(document, AGENTS))
    return Engine(plan, compiler, known=skipped, report=True, start=Attempt, shell=Runtime(plan, compiler))


def kept(document: Mapping[str, Any], *again: str, changed: Mapping[str, Value] | None = None, **more: Any) -> set[str]:
    known = outcomes(document)
    held, traced = retrace(lambda skipped: engine(document, skipped), known, before={}, after=changed or {}, again=again, **more)
    assert known.keys() <= traced.handed.keys(), "all that ran was retraced"
    return held


CHAIN = {
    "version": 0.5,
    "nodes": {
        "x": {"value": 1},
        "y": {"value": 2},
        "a": {"agent": "think", "inputs": {"x": ":x"}},
        "up": {"agent": "stringTemplateAgent", "params": {"template": "${t}!"}, "inputs": {"t": ":a.text"}},
        "b": {"agent": "think", "inputs": {"up": ":up"}},
        "c": {"agent": "send", "inputs": {"y": ":y"}},
        "d": {"agent": "think", "inputs": {"b": ":b.text", "c": ":c.text"}, "isResult": True},
        "off": {"agent": "think", "inputs": {"x": ":x"}, "if": ":y"},
    },
}


def test_nothing_changed_and_all_holds() -> None:
    assert kept(CHAIN) == {"a", "b", "c", "d", "off"}


def test_what_depends_on_a_node_that_runs_again_does_not_hold() -> None:
    assert kept(CHAIN, "a") == {"c", "off"}
    assert kept(CHAIN, "up") == {"a", "c", "off"}
    assert kept(CHAIN, "d") == {"a", "b", "c", "off"}


def test_what_is_handed_another_value_does_not_hold() -> None:
    assert kept(CHAIN, changed={"x": 5}) == {"c"}
    assert kept(CHAIN, changed={"y": 5}) == {"a", "b", "off"}
    assert kept(CHAIN, changed={"y": 0}) == {"a", "b"}
    assert kept(CHAIN, changed={"x": 1}) == {"a", "b", "c", "d", "off"}


def test_what_somebody_else_made_does_not_hold() -> None:
    assert kept(CHAIN, same_maker=lambda path: path != "b") == {"a", "c", "off"}


def test_effects_are_told() -> None:
    known = outcomes(CHAIN)
    _, traced = retrace(lambda skipped: engine(CHAIN, skipped), known, before={}, after={})
    assert {path for path, effect in traced.effects.items() if effect == "once"} == {"c"}


def test_a_loop_that_goes_another_way() -> None:
    document = {
        "version": 0.5,
        "loop": {"count": 4},
        "nodes": {
            "state": {"value": "s", "update": ":turn.text"},
            "turn": {"agent": "think", "inputs": {"s": ":state"}, "isResult": True},
            "side": {"agent": "think", "inputs": {"v": 7}},
        },
    }
    everything = {f"{name}{turn}" for name in ("turn", "side") for turn in ("", "#1", "#2", "#3")}
    assert kept(document) == everything
    # The turns behind one that is not over are left to the run itself (edge.fork.Recall).
    assert kept(document, "turn#2") == {"turn", "side", "turn#1", "side#1", "side#2"}


def test_maps_in_nested_graphs() -> None:
    inner = {"nodes": {"one": {"agent": "think", "inputs": {"r": ":row"}, "isResult": True}}}
    middle = {
        "nodes": {
            "m": {"agent": "mapAgent", "inputs": {"rows": ":rows"}, "graph": inner, "isResult": True},
            "sum": {"agent": "think", "inputs": {"m": ":m"}},
        }
    }
    document = {
        "version": 0.5,
        "nodes": {
            "rows": {"value": [1, 2, 3]},
            "n": {"agent": "nestedAgent", "inputs": {"rows": ":rows"}, "graph": middle, "isResult": True},
            "end": {"agent": "think", "inputs": {"n": ":n"}},
        },
    }
    rows = {f"n/m[{row}]/one" for row in range(3)}
    assert kept(document) == {*rows, "n/sum", "end"}
    assert kept(document, changed={"rows": [1, 9, 3]}) == rows - {"n/m[1]/one"}
    assert kept(document, "n/m[2]/one") == rows - {"n/m[2]/one"}
    assert kept(document, "n/sum") == rows
    assert kept(document, "n") == set()
