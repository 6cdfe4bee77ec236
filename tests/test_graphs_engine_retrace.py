"""What of a run holds for another one: exactly what the engine, asked again, would hand the same."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from graphs.agents import standard
from graphs.engine.engine import Engine
from graphs.engine.events import Outcome
from graphs.engine.plan import Compiler
from graphs.engine.retrace import handed_on, is_below, retrace, trace
from graphs.language.spec import Graph
from graphs.records import State
from graphs.registry import Agent
from graphs.running.runtime import Runtime
from graphs.values import Value, canonical, digest
from protocol.payload import blobref, handle


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
    text = "|".join(str(each) for each in context.inputs.values())
    return {"text": text if len(text) < 500 else digest(text.encode()).hex()}  # some random loops would grow beyond all limits


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


def test_another_outcome_may_count_for_who_is_handed_what_it_was_made_of() -> None:
    known = outcomes(CHAIN)
    _, first = retrace(lambda skipped: engine(CHAIN, skipped), known, before={}, after={})
    asked: dict[str, bytes | None] = {}

    def instead(path: str, handed: bytes | None) -> Outcome | None:
        asked[path] = handed
        return Outcome(State.COMPLETED, {"text": "another"}) if path in ("a", "b") else None

    held = kept(CHAIN, same_maker=lambda path: path != "a", instead=instead)
    assert held == {"a", "b", "c", "off"}, "what is handed another one's outcome does not hold"
    assert set(asked) == {"a", "up", "b", "d"}
    assert asked["a"] == first.handed["a"]
    assert asked["b"] != first.handed["b"]


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
    # The turns behind one that is not over are left to the run itself (edge.runs.fork.Recall).
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


def random_document(dice: random.Random) -> dict[str, Any]:
    """Nodes that read some of those before them, some of them on conditions, in a loop now and then."""
    nodes: dict[str, Any] = {"v0": {"value": dice.randrange(3)}, "v1": {"value": dice.randrange(3)}}
    names = list(nodes)
    for number in range(dice.randrange(3, 14)):
        name = f"n{number}"
        reads = dice.sample(names, min(len(names), dice.randrange(1, 4)))
        spec: dict[str, Any] = {"agent": "think", "inputs": {f"i{place}": f":{each}" for place, each in enumerate(reads)}}
        kind = dice.randrange(8)
        if kind == 0:
            spec["if"] = f":{dice.choice(['v0', 'v1'])}"
        elif kind == 1:
            spec |= {"agent": "stringTemplateAgent", "params": {"template": "${i0}?"}}
        elif kind == 2:
            inner = {"nodes": {"in": {"agent": "think", "inputs": {"row": ":row"}, "isResult": True}}}
            spec = {"agent": "mapAgent", "inputs": {"rows": [1, f":{reads[0]}"]}, "graph": inner}
        elif kind == 3:
            spec |= {"if": ":v0", "defaultValue": "off"}
        nodes[name] = spec
        names.append(name)
    document: dict[str, Any] = {"version": 0.5, "nodes": nodes}
    if dice.randrange(3) == 0:
        document["loop"] = {"count": 3}
        nodes["v1"]["update"] = f":{dice.choice(names[2:])}"
    return document


def ended(document: Mapping[str, Any], known: Mapping[str, Outcome], inject: Mapping[str, Value]) -> tuple[Any, list[str]]:
    """The values of all nodes at the end, and what was run for them."""
    import asyncio

    ran: list[str] = []

    def noted(context: Any) -> Value:
        ran.append(context.path)
        return think(context)

    agents = AGENTS.with_agents([Agent("think", noted, effect="none")])
    compiler = Compiler(agents)
    runtime = Runtime(compiler.plan(Graph.of(document, agents)), compiler, known=known)
    asyncio.run(runtime.run(inject))
    return runtime.engine.results(), ran


def test_a_fork_of_any_graph_comes_to_what_a_new_run_comes_to() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    saved = 0
    for _ in range(150):
        document = random_document(dice)
        known = outcomes(document)
        changes = {name: dice.randrange(3) for name in ("v0", "v1") if dice.randrange(3) == 0}
        computed = [name for name, spec in document["nodes"].items() if "agent" in spec]
        again = dice.sample(computed, dice.randrange(2))
        held, _ = retrace(lambda skipped, of=document: engine(of, skipped), known, before={}, after=changes, again=again)  # type: ignore[misc]
        fresh, everything = ended(document, {}, changes)
        forked, ran = ended(document, {path: known[path] for path in held}, changes)
        assert forked == fresh, document
        assert not set(ran) & held, document
        assert set(ran) | held >= set(everything), document
        assert all(path in ran for path in everything if any(is_below(path, each) for each in again)), document
        saved += len(everything) - len(ran)
    assert saved > 0


def test_a_value_counts_as_handed_whether_it_is_here_or_only_its_name() -> None:
    document = {"nodes": {"far": {"agent": "think"}, "reads": {"agent": "think", "inputs": {"of": ":far", "by": 1}}}}

    def handed(value: Value) -> bytes | None:
        known = {"far": Outcome(State.COMPLETED, value)}
        return trace(engine(document, {}), known, {}).handed["reads"]

    data = canonical(["a large value"])
    assert handed(["a large value"]) == handed(blobref(digest(data), len(data))) != handed(["another"])
    assert handed(blobref(digest(b"1"), 1)) != handed(blobref(digest(b"2"), 1))
    named = [handle(bytes([number] * 16), {"private"}, len(data)) for number in (1, 2)]
    assert len({handed(each) for each in [*named, ["a large value"]]}) == 3, "a handle says nothing of what is in it"


def test_which_values_a_trace_only_hands_on() -> None:
    plain = {"agent": "think", "inputs": {"of": ":far"}}

    def whole(more: Mapping[str, Any], **graph: Any) -> bool:
        nodes = {"far": {"agent": "think"}, "reads": plain, "more": more}
        return "far" in handed_on(Graph.of({"version": 0.5, "nodes": nodes, **graph}, AGENTS), AGENTS)

    assert whole({"agent": "think", "isResult": True})
    assert whole({"value": 1})
    for each in (
        {"inputs": {"of": ":far.text"}},
        {"inputs": {"of": "${:far}"}},
        {"inputs": {"of": [":far"]}},
        {"inputs": {"params": ":far"}},
        {"inputs": {"of": 1}, "if": ":far"},
        {"inputs": {"of": 1}, "unless": ":far.done"},
        {"agent": "copyAgent", "inputs": {"of": ":far"}},
        {"agent": "mapAgent", "inputs": {"rows": ":far"}, "graph": {"nodes": {"a": {"agent": "think"}}}},
    ):
        assert not whole({"agent": "think", **each}), each
    assert not whole({"value": 1, "update": ":far"}, loop={"count": 2})
    assert not whole({"value": 1}, loop={"while": ":far"})
