"""Building graphs in Python: the document is what YAML would hold, and mistakes are told where they are made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

import graphferry as gf
from graphferry.builder import GraphAttributes, NodeAttributes, _word
from graphs.language.fields import COMPUTED, GRAPH
from graphs.language.load import load_text
from graphs.values import canonical


def small() -> gf.Graph:
    graph = gf.Graph()
    topic = graph.value("topic", "the tide")
    draft = graph.node("draft", "llmAgent", inputs={"prompt": f"Write about {topic}"}, model="large")
    graph.node("out", "copyAgent", inputs={"text": draft["text"]}, is_result=True)
    return graph


def test_the_document_is_what_yaml_would_hold() -> None:
    assert small().to_yaml() == (
        """\
version: 0.5
nodes:
  topic:
    value: the tide
  draft:
    agent: llmAgent
    inputs:
      prompt: Write about ${:topic}
    model: large
  out:
    agent: copyAgent
    inputs:
      text: :draft.text
    isResult: true
"""
    )


def test_it_builds_the_same_frozen_graph_as_its_yaml() -> None:
    built = small().build()
    assert load_text(small().to_yaml()).data == built.document
    assert canonical(load_text(small().to_yaml()).data) == built.canonical


def test_every_attribute_that_works_can_be_given() -> None:
    works = {name for name, field in COMPUTED.items() if field.status == "works"}
    assert {_word(name) for name in NodeAttributes.__annotations__} == works - {"agent"}
    works = {name for name, field in GRAPH.items() if field.status == "works"}
    assert {_word(name) for name in GraphAttributes.__annotations__} == works - {"version", "nodes", "loop", "inputs"}


def test_parts_and_functions_of_a_value() -> None:
    ref = gf.Graph()["draft"]
    assert ref.source == ":draft"
    assert ref["messages"][0]["content"].source == ":draft.messages.$0.content"
    assert ref["messages"][-1].source == ":draft.messages.$last"
    assert ref["text"].call("trim").source == ":draft.text.trim()"
    assert ref.call("default", "none").source == ":draft.default(none)"
    assert ref.call("slice", 0, 5).source == ":draft.slice(0,5)"
    assert f"{ref['text']} and {ref}" == "${:draft.text} and ${:draft}"
    with pytest.raises(TypeError):
        iter(ref)


@pytest.mark.parametrize("part", ["a.b", "", "trim()", -2])
def test_parts_that_no_source_can_name(part: str | int) -> None:
    with pytest.raises(gf.UsageError):
        gf.Graph()["draft"][part]


def test_mistakes_are_refused_where_they_are_made() -> None:
    graph = gf.Graph()
    topic = graph.value("topic", 1)
    with pytest.raises(gf.UsageError, match="there is a node 'topic' already"):
        graph.value("topic", 2)
    with pytest.raises(gf.UsageError, match="params of 'x' is never searched for references, and :topic is one"):
        graph.node("x", "copyAgent", params={"deep": [topic]})
    with pytest.raises(gf.UsageError, match="the value of 'y' is never searched"):
        graph.value("y", {"a": topic})
    with pytest.raises(gf.UsageError, match="a name with a dot"):
        graph["a.b"]
    with pytest.raises(gf.UsageError, match="cannot stand in a template"):
        str(graph["a}b"])
    graph.input("z")
    with pytest.raises(gf.UsageError, match="there is an input 'z' already"):
        graph.input("z")


def test_what_is_wrong_with_the_whole_is_told_by_the_checker() -> None:
    graph = gf.Graph(concurrency=0)
    graph.node("a", "ghostAgent", inputs={"x": graph["nobody"]})
    with pytest.raises(gf.GraphInvalid) as raised:
        graph.build()
    assert [problem.code for problem in raised.value.problems] == ["GF113", "GF105", "GF103"]


def test_a_document_that_was_given_out_is_a_copy() -> None:
    graph = small()
    graph.document["nodes"]["topic"]["value"] = "changed"
    assert graph.document["nodes"]["topic"]["value"] == "the tide"


def test_loops_conditions_and_references_to_what_comes_later() -> None:
    graph = gf.Graph()
    left = graph.value("left", [3, 2, 1], update=graph["shift"]["array"])
    total = graph.value("total", 0, update=graph["sum"]["result"], is_result=True)
    shift = graph.node("shift", "shiftAgent", inputs={"array": left})
    graph.node("sum", "dataSumTemplateAgent", inputs={"array": [total, shift["item"]]}, if_=shift["item"])
    graph.loop(while_=left)
    assert graph.document["loop"] == {"while": ":left"}
    assert gf.run(graph).require() == {"total": 6}


def test_nested_graphs_inputs_and_all_the_rest() -> None:
    row = gf.Graph()
    row.node("twice", "dataSumTemplateAgent", inputs={"array": [row["row"], row["row"]]}, is_result=True)
    graph = gf.Graph(concurrency=2, metadata={"by": "a test"})
    rows = graph.input("rows", [1, 2], type="array", description="numbers")
    many = graph.node(
        "many",
        "mapAgent",
        inputs={"rows": rows},
        graph=row,
        params={"compositeResultKey": "twice"},
        retry=1,
        timeout=5000,
        priority=1,
    )
    graph.node("none", "copyAgent", inputs={"x": 1}, unless=many, default_value="left out")
    graph.node(
        "out",
        "copyAgent",
        inputs={"all": [many[0]["result"], many[-1]["result"]]},
        output={"sum": ".all.sum()"},
        is_result=True,
    )
    graph.node("first", "copyAgent", inputs={"a": graph["none"], "b": many}, any_input=True, pass_through={"from": many[0]})
    spec = graph.build(strict=True)
    assert spec.warnings == ()
    assert load_text(graph.to_yaml()).data == graph.document
    ended = gf.run(graph, {"rows": [5, 6]})
    assert ended.require() == {"out": {"sum": 22}}
    assert ended.values["none"] == "left out"


def test_agents_of_ones_own_are_known_to_the_graph_they_are_used_in() -> None:
    @gf.agent("shoutAgent", effect="none", cheap=True)
    def shout(context: gf.AgentContext) -> gf.Value:
        """Writes text in capitals."""
        return context.inputs["text"].upper()

    inner = gf.Graph()
    inner.node("loud", shout, inputs={"text": inner["word"]}, is_result=True)
    graph = gf.Graph()
    graph.node("in", "nestedAgent", inputs={"word": "ahoy"}, graph=inner, params={"resultNodeId": "loud"}, is_result=True)
    assert graph.agents == (shout,)
    assert graph.build().nodes["in"]["graph"]["nodes"]["loud"]["agent"] == "shoutAgent"
    assert gf.run(graph).require() == {"in": "AHOY"}
    assert gf.run(graph.document, agents=[shout]).require() == {"in": "AHOY"}
    other = gf.Graph()
    other.node("x", "onlyAtTheWorker")
    assert other.build(agents=["onlyAtTheWorker"]).nodes


NAMES = st.text("abcXYZ019_- ", min_size=1, max_size=6)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(NAMES, DATA, min_size=1, max_size=5), st.data())
def test_any_graph_of_values_goes_through_yaml_and_back(values: dict[str, Any], data: st.DataObject) -> None:
    graph = gf.Graph()
    refs = [graph.value(name, value) for name, value in values.items()]
    reads = data.draw(st.dictionaries(NAMES, st.sampled_from(refs), max_size=4))
    graph.node(
        "the reader", "copyAgent", inputs=reads, params=data.draw(st.dictionaries(NAMES, DATA, max_size=3)), is_result=True
    )
    again = load_text(graph.to_yaml()).data
    assert again == graph.document
    assert canonical(again) == graph.build().canonical
