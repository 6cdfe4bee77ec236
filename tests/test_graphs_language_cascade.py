"""Cascades and hedges, written out as the nested graphs they are, and run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from graphs.agents import standard
from graphs.language.cascade import ALWAYS, calibration_key, expanded
from graphs.language.check_cascade import milliseconds
from graphs.language.spec import Graph
from graphs.records import State
from graphs.registry import Agent, agent
from runs import Watch, run

ASK: dict[str, Any] = {"agent": "llmAgent", "inputs": {"prompt": ":q"}, "model": "small", "params": {"max_tokens": 9}}


def graph(**node: Any) -> Graph:
    document = {"version": 0.5, "nodes": {"q": {"value": "why?"}, "x": {**ASK, "isResult": True, **node}}}
    return Graph.of(document, set(standard()), strict=True)


def inside(made: Graph) -> Mapping[str, Any]:
    return made.nodes["x"]["graph"]["nodes"]  # type: ignore[no-any-return]


def here(_agent: str, model: str | None) -> Any:
    return "edge" if model == "small" else "cloud"


def test_a_graph_without_any_is_the_same_graph() -> None:
    plain = graph()
    assert expanded(plain) is plain


def test_what_is_written_out_is_a_graph_without_problems_and_stays_as_it_is() -> None:
    for said in ({"escalate": {"below": 0.8}}, {"escalate": {"samples": 3}}, {"hedge": {"after": "2s"}}):
        made = expanded(graph(**said), here)
        assert Graph.of(made.document, set(standard()), strict=True).warnings == ()
        assert expanded(made) is made


def test_each_asking_goes_where_its_model_is() -> None:
    nodes = inside(expanded(graph(escalate={"below": 0.8}), here))
    assert (nodes["first"]["model"], nodes["first"]["place"]) == ("small", "edge")
    assert (nodes["second"]["model"], nodes["second"]["place"]["at"]) == ("large", "cloud")
    assert nodes["first"]["params"] == {"max_tokens": 9, "confidence": True}
    assert nodes["second"]["params"] == {"max_tokens": 9}


def test_a_node_with_a_place_is_asked_twice_in_that_place() -> None:
    made = expanded(graph(escalate={"below": 0.8}, place="cloud"), here)
    assert made.nodes["x"]["place"] == "cloud"
    assert "place" not in inside(made)["first"]
    assert "place" not in inside(made)["second"]


@pytest.mark.parametrize(("offline", "keeps"), [(None, True), ("local", True), ("wait", False), ("fail", False)])
def test_offline_the_first_answer_is_the_local_alternative(offline: str | None, keeps: bool) -> None:
    more = {"place": {"offline": offline}} if offline else {}
    second = inside(expanded(graph(escalate={"below": 0.8}, **more), here))["second"]
    assert second["place"].get("offline") == offline
    assert (second["place"].get("local") == {"agent": "copyAgent", "params": {"namedKey": "first"}}) is keeps
    assert ("first" in second["inputs"]) is keeps


def test_names_inside_give_way_to_those_of_inputs() -> None:
    made = expanded(graph(inputs={"prompt": ":q", "first": 1, "answer": 2}, escalate={"below": 0.5}))
    assert {"first", "answer"} <= {name for name, node in inside(made).items() if "agent" not in node}
    assert made.nodes["x"]["params"] == {"resultNodeId": "answer_"}


def test_in_nested_graphs_too() -> None:
    inner = {"version": 0.5, "nodes": {"q": {"value": 1}, "y": {**ASK, "escalate": {"below": 0.5}, "isResult": True}}}
    document = {"version": 0.5, "nodes": {"n": {"agent": "nestedAgent", "graph": inner}}}
    made = expanded(Graph.of(document, set(standard())))
    assert made.nodes["n"]["graph"]["nodes"]["y"]["agent"] == "nestedAgent"


def test_the_bar_is_the_one_that_is_said_else_the_calibrated_one_else_above_all() -> None:
    said, unsaid = graph(escalate={"below": 0.7}), graph(escalate={})
    key = calibration_key(unsaid.nodes["x"])
    assert key == calibration_key(said.nodes["x"])  # the bar itself decides nothing about the answers
    assert key != calibration_key(graph(escalate={}, model="other").nodes["x"])
    bars = [inside(expanded(each, bar_of={key: 0.4}.get))["score"]["params"]["below"] for each in (said, unsaid)]
    assert bars == [0.7, 0.4]
    assert inside(expanded(unsaid))["score"]["params"]["below"] == ALWAYS


@pytest.mark.parametrize(
    ("said", "ms"), [(250, 250), ("2s", 2000), ("500ms", 500), ("1.5m", 90_000), ("2", None), (True, None), (-1, None)]
)
def test_durations(said: Any, ms: float | None) -> None:
    assert milliseconds(said) == ms


# -- run


def answering(likelihood: Mapping[str, float], **waits: asyncio.Event) -> Agent:
    """An llmAgent that says which model it is, and how sure it is."""

    async def ask(context: Any) -> Any:
        if (event := waits.get(context.model)) is not None:
            await event.wait()
        import math

        sure = {"mean": math.log(likelihood[context.model])} if context.params.get("confidence") else None
        return {"text": f"{context.model} says {context.inputs['prompt']}", "confidence": sure}

    return agent("llmAgent", effect="none")(ask)


@pytest.mark.parametrize(("sure", "who"), [(0.9, "small"), (0.5, "large")])
def test_the_second_model_is_asked_only_below_the_bar(sure: float, who: str) -> None:
    watch = Watch()
    nodes = {"q": {"value": "why?"}, "x": {**ASK, "escalate": {"below": 0.8}, "isResult": True}}
    made = run(nodes, {"llmAgent": answering({"small": sure, "large": 1.0})}, observers=[watch])
    value = made.engine.results()["x"]
    assert value["text"] == f"{who} says why?"
    assert value["cascade"] == {"confidence": sure, "below": 0.8, "by": "mean", "unsure": who == "large"}
    assert ("x/second" in {path for path, state in watch.settled_ if state == State.COMPLETED}) is (who == "large")


def test_without_a_bar_even_an_answer_that_is_entirely_sure_is_compared() -> None:
    nodes = {"q": {"value": "why?"}, "x": {**ASK, "escalate": {}, "isResult": True}}
    value = run(nodes, {"llmAgent": answering({"small": 1.0, "large": 1.0})}).engine.results()["x"]
    assert value["text"] == "large says why?"
    assert value["cascade"]["unsure"]
    nodes["x"]["escalate"] = {"below": 1.0}
    assert run(nodes, {"llmAgent": answering({"small": 1.0, "large": 1.0})}).engine.results()["x"]["text"] == "small says why?"


def test_an_answer_that_says_nothing_of_its_confidence_is_not_trusted() -> None:
    def ask(context: Any) -> Any:
        return {"text": context.model}

    nodes = {"q": {"value": 1}, "x": {**ASK, "escalate": {"below": 0.1}, "isResult": True}}
    assert run(nodes, {"llmAgent": ask}).engine.results()["x"]["text"] == "large"


def test_what_is_said_of_the_node_as_a_whole_holds_for_both_askings() -> None:
    nodes = {
        "q": {"value": "why?"},
        "x": {**ASK, "escalate": {"below": 0.8}, "output": {"said": ".text"}, "if": ":q"},
        "never": {**ASK, "escalate": {"below": 0.8}, "unless": ":q"},
    }
    made = run(nodes, {"llmAgent": answering({"small": 0.1, "large": 1.0})})
    assert made.engine.results() == {"q": "why?", "x": {"said": "large says why?"}}


def test_a_map_escalates_row_by_row() -> None:
    inner = {"version": 0.5, "nodes": {"x": {**ASK, "inputs": {"prompt": ":row"}, "escalate": {"below": 0.8}, "isResult": True}}}

    async def ask(context: Any) -> Any:
        import math

        return {"text": context.model, "confidence": {"mean": math.log(context.inputs["prompt"] / 10)}}

    nodes = {"rows": {"value": [9, 3, 8]}, "m": {"agent": "mapAgent", "inputs": {"rows": ":rows"}, "graph": inner}}
    rows = run(nodes, {"llmAgent": agent("llmAgent", effect="none")(ask)}).engine.results()["m"]
    assert [row["x"]["text"] for row in rows] == ["small", "large", "small"]


def test_who_answers_first_wins_and_the_other_is_stopped() -> None:
    stopped = []
    never = asyncio.Event()

    async def ask(context: Any) -> Any:
        if context.model == "small":
            try:
                await never.wait()
            except asyncio.CancelledError:
                stopped.append("small")
                raise
        return {"text": context.model}

    nodes = {
        "q": {"value": "why?"},
        "x": {**ASK, "hedge": {"after": 1, "to": "large"}, "place": "edge", "isResult": True},
        "then": {"agent": "copyAgent", "inputs": {"answer": ":x.text"}},
    }
    made = run(nodes, {"llmAgent": agent("llmAgent", effect="none")(ask)})
    assert made.engine.results()["then"] == {"answer": "large"}
    assert stopped == ["small"]


def test_a_first_answer_in_time_asks_nobody_else() -> None:
    asked = []

    def ask(context: Any) -> Any:
        asked.append(context.model)
        return {"text": context.model}

    nodes = {"q": {"value": 1}, "x": {**ASK, "hedge": {"after": "1m", "to": "large"}, "place": "edge", "isResult": True}}
    assert run(nodes, {"llmAgent": ask}).engine.results()["x"] == {"text": "small"}
    assert asked == ["small"]


def test_a_hedge_survives_the_failure_of_one() -> None:
    def ask(context: Any) -> Any:
        if context.model == "small":
            raise ValueError("broken")
        return {"text": context.model}

    nodes = {"q": {"value": 1}, "x": {**ASK, "hedge": {"after": 1, "to": "large"}, "place": "edge", "isResult": True}}
    assert run(nodes, {"llmAgent": ask}).engine.results()["x"] == {"text": "large"}


def test_what_a_node_says_of_its_history_holds_for_both_and_params_win() -> None:
    seen = []

    def ask(context: Any) -> Any:
        seen.append((context.model, context.params.get("fit")))
        return {"text": "x"}

    nodes = {
        "x": {"agent": "llmAgent", "model": "small", "params": {"prompt": "?"}, "fit": True, "escalate": {"below": 0.5}},
        "y": {"agent": "llmAgent", "model": "plain", "params": {"prompt": "?", "fit": False}, "fit": True},
    }
    run(nodes, {"llmAgent": ask})
    assert sorted(seen) == [("large", True), ("plain", False), ("small", True)]
