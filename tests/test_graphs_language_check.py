"""Checking graphs: every code with the place it points at, GraphAI's words, and that nothing makes the checker itself fail."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, strategies as st

from graph_texts import AGENTS, OK, checked, graph, places
from graphs.errors import GraphInvalid
from graphs.language.check import CODES, check, first
from graphs.language.load import load_text

# ---- GraphAI's own words: the conformance cases of validation, as documents ----

A = {"a": {"agent": "copyAgent", "inputs": {"v": 1}}}
SA = {"a": {"value": 1}, "b": {"agent": "copyAgent", "inputs": {"v": ":a"}}}
ARRAY_INPUTS = (
    "array inputs have been deprecated. nodeId: a: see https://github.com/receptron/graphai/blob/main/docs/NamedInputs.md"
)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"nodes": {"a": {"agent": "copyAgent", "value": 1, "inputs": {"v": 1}}}}, "Cannot set both agent and value"),
        ({"concurrency": 1.5, "nodes": A}, "Concurrency must be an integer"),
        ({"concurrency": {"labels": {"gpu": 1}}, "nodes": A}, "Concurrency object must have a global field"),
        ({"concurrency": 0, "nodes": A}, "Concurrency must be a positive integer"),
        ({"concurrency": {"global": "8"}, "nodes": A}, "Concurrency.global must be an integer"),
        ({"concurrency": {"global": 1, "other": 2}, "nodes": A}, "Concurrency object does not allow other"),
        ({"concurrency": {"global": 1, "labels": []}, "nodes": A}, "Concurrency.labels must be an object"),
        ({"concurrency": {"global": 1, "labels": {"gpu": 0}}, "nodes": A}, "Concurrency.labels.gpu must be a positive integer"),
        ({"nodes": {"s": {"value": 1}, "a": {"agent": "copyAgent", "inputs": {"v": ":c"}},
                    "b": {"agent": "copyAgent", "inputs": {"v": ":a"}},
                    "c": {"agent": "copyAgent", "inputs": {"v": ":b", "s": ":s"}},
                    "ok": {"agent": "copyAgent", "inputs": {"v": ":s"}}}}, "Some nodes are not executed: a, b, c"),
        ({"nodes": {}}, "Invalid Graph Data: nodes is empty"),
        ({}, "Invalid Graph Data: no nodes"),
        ({"nodes": []}, "Invalid Graph Data: nodes must be object"),
        ({"nodes": "a"}, "Invalid Graph Data: invalid nodes"),
        ({"nodes": None}, "Invalid Graph Data: invalid nodes"),
        ([], "Invalid Graph Data: no nodes"),
        ({"nodes": {"s": {"value": 1}, "a": {"agent": "copyAgent", "inputs": [":s"]}}}, ARRAY_INPUTS),
        ({"nodes": {"s": {"value": 1}, "a": {"agent": "copyAgent", "inputs": "x"}}}, "sources must be array!! maybe inputs is invalid"),
        ({"nodes": {"a": {"agent": "copyAgent", "inputs": {"v": ":a"}}}}, "No Initial Runnning Node"),
        ({"nodes": {"a": {"value": 1}}}, "No Initial Runnning Node"),
        ({"nodes": {"a": {"agent": ":ghost", "inputs": {"v": 1}}}}, "Agent not match: NodeId a, Inputs: ghost"),
        ({"nodes": {"a": {"agent": "wizardAgent"}}}, "Invalid Agent : wizardAgent is not in AgentFunctionInfoDictionary."),
        ({"nodes": {"a": {"agent": 3}}}, "agent must be either string or function"),
        ({"nodes": {"a": {"agent": "copyAgent", "inputs": {"v": 1}, "input": 3}}}, "Computed node does not allow input"),
        ({"nodes": {"a": {"agent": "copyAgent", "label": 1}}}, "Computed node label must be a string"),
        ({"colour": "red", "nodes": A}, "Graph Data does not allow colour"),
        ({"nodes": {"a": {"agent": "nestedAgent", "graph": ":ghost"}}}, "Graph not match: NodeId a, Inputs: ghost"),
        ({"nodes": {"a": {"agent": "copyAgent", "if": ":ghost"}}}, "If not match: NodeId a, Inputs: ghost"),
        ({"nodes": {"a": {"agent": "copyAgent", "unless": ":ghost"}}}, "Unless not match: NodeId a, Inputs: ghost"),
        ({"nodes": {"a": {"agent": "copyAgent", "inputs": {"v": {"w": ["x", ":ghost.prop"]}}}}}, "Inputs not match: NodeId a, Inputs: ghost"),
        ({"nodes": {"a": {"agent": "copyAgent", "inputs": {"v": "x ${:ghost.b}"}}}}, "Inputs not match: NodeId a, Inputs: ghost"),
        ({"nodes": {"a": {"agent": "copyAgent", "passThrough": {"v": ":ghost"}}}}, "createNode: invalid input ghost for node, a"),
        ({"nodes": {"a": {"value": 1, "retry": 2}, "b": SA["b"]}}, "Static node does not allow retry"),
        ({"nodes": {"a": {"agent": "copyAgent", "if": "true"}}}, "Invalid data source true"),
        ({"nodes": {"a": {"value": 1, "update": ":ghost"}, "b": SA["b"]}}, "Update not match: NodeId a, update: :ghost"),
        ({"nodes": {"a": {"value": 1, "update": "b"}, "b": SA["b"]}}, "Update it a literal"),
        ({"loop": {"count": 2, "while": ":a"}, "nodes": SA}, "Loop: Both count and while cannot be set"),
        ({"loop": {}, "nodes": SA}, "Loop: Either count or while is required in loop"),
    ],
)  # fmt: skip
def test_graphai_s_words_come_first(document: Any, says: str) -> None:
    raised = first(check(document, AGENTS))
    assert raised is not None
    assert says in raised.message
    assert says in str(GraphInvalid([raised]))


@pytest.mark.parametrize(
    "document",
    [
        {"nodes": A},
        {"retry": 2, "metadata": [1], "agentId": 3, "verbose": True, "nodes": SA},
        {"loop": None, "concurrency": None, "nodes": {"a": {"agent": "copyAgent", "inputs": None, "params": None, "if": None}}},
        {"loop": {"count": None}, "nodes": SA},
        {"loop": {"while": False}, "nodes": SA},
        {
            "nodes": {
                "a": {"agent": "copyAgent", "inputs": {"turn": ":__loopIndex", "now": "@now", "t": "${@loop} ${:__loopIndex}"}}
            }
        },
        {
            "nodes": {
                "a": {"value": None},
                "x": {},
                "b": {"agent": ":a", "params": {"p": ":nowhere"}, "inputs": {"q": " :nowhere"}},
            }
        },
        {"inputs": {"topic": {"type": "string"}}, "nodes": {"a": {"agent": "copyAgent", "inputs": {"t": ":topic"}}}},
        {"nodes": {"a": {"agent": "copyAgent", "timeout": 0.5, "priority": -1, "console": {"before": "x"}, "defaultValue": []}}},
        {"nodes": {"c": {"agent": "copyAgent", "inputs": {"v": ":b"}}, **SA}},
    ],
)
def test_what_graphai_accepts_is_accepted(document: Any) -> None:
    before = copy.deepcopy(document)
    assert [each for each in check(document, AGENTS) if each.code != "GF154"] == []
    assert document == before


def test_names_accepted_without_an_agent() -> None:
    document = {"nodes": {"a": {"agent": "eventAgent"}}}
    assert first(check(document, AGENTS)) is not None
    assert first(check(document, AGENTS, bypass=["eventAgent"])) is None
    assert first(check(document, None)) is None


# ---- every code, with the place it points at ----


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (graph("a:", OK), [("GF102", 3, 3, 1)]),
        (graph("a: text", OK), [("GF102", 3, 3, 1)]),
        ("version: 0.5\nnodes: 3\n", [("GF102", 2, 8, 1)]),
        ("version: 0.5\nnode: {}\n", [("GF102", 1, 1, 12), ("GF104", 2, 1, 4)]),
        (graph("a: {value: 1}", "b: {agent: copyAgent, inputs: {v: [1, ':ghost.x']}}"), [("GF103", 4, 43, 5)]),
        (graph("a: {value: 1, update: :ghost}", OK), [("GF103", 3, 26, 5)]),
        (graph("b: {agent: copyAgent, inputs: {v: 'a ${:x.y} b ${:x}'}}"), [("GF103", 3, 43, 1)]),
        (graph("a: {value: 1, valeu: 2}", OK), [("GF104", 3, 17, 5)]),
        (graph("b: {agent: copyagent}"), [("GF105", 3, 14, 9)]),
        (graph("b: {agent: copyAgent, retry: two}"), [("GF106", 3, 32, 3)]),
        (graph("b: {agent: copyAgent, isResult: 1, sensitivity: [1], effect: twice}"),
         [("GF106", 3, 35, 1), ("GF106", 3, 38, 11), ("GF106", 3, 64, 5)]),
        (graph("b: {agent: copyAgent, repeatUntil: {exist: .x}}"), [("GF106", 3, 25, 11)]),
        (graph("a: {value: 1}", OK, "a: {value: 2}"), [("GF107", 5, 3, 1)]),
        (graph("a: {value: !!str 1}", OK), [("GF109", 3, 14, 7)]),
        (graph("a: {value: .inf}", OK), [("GF110", 3, 14, 4)]),
        (graph("b: {agent: copyAgent, value: 1}"), [("GF111", 3, 25, 5)]),
        (graph("a: {value: 1}", OK, loop="{whlie: :a}"), [("GF112", 2, 1, 4)]),
        (graph("a: {value: 1}", OK, loop="{count: two}"), [("GF112", 2, 15, 3)]),
        (graph("a: {value: 1}", OK, loop="{while: a}"), [("GF112", 2, 15, 1)]),
        (graph("a: {value: 1}", OK, concurrency="{global: 1, labels: {gpu: 0.5}}"), [("GF113", 2, 40, 3)]),
        (graph("b: {agent: copyAgent, if: yes}"), [("GF114", 3, 29, 3)]),
        (graph("b: {agent: nestedAgent, graph: text}"), [("GF114", 3, 34, 4)]),
        (graph("a: {value: 1, update: 2}", OK), [("GF114", 3, 25, 1)]),
        (graph("a: {value: 1}", OK, "c: {agent: copyAgent, inputs: {v: :d}}", "d: {agent: copyAgent, if: :c}"), [("GF115", 5, 3, 1)]),
        (graph("a: {value: 1}"), [("GF116", 2, 1, 5)]),
        (graph("b: {agent: copyAgent, inputs: [1]}"), [("GF117", 3, 25, 6)]),
        (graph("b: {agent: copyAgent, any: [3, {}]}"), [("GF125", 3, 31, 1)]),
        (graph("b: {agent: copyAgent, hedge: {}}"), [("GF124", 3, 25, 5)]),
        (graph("b: {agent: copyAgent, budget: {tokens: 0, token: 1}}"), [("GF126", 3, 42, 1), ("GF126", 3, 45, 5)]),
        (graph("b: {agent: copyAgent, place: {at: clod, offline: never, local: {modle: small}, on: edge}}", place="moon"),
         [("GF119", 2, 8, 4), ("GF119", 4, 37, 4), ("GF119", 4, 52, 5), ("GF104", 4, 67, 5), ("GF119", 4, 82, 2)]),
        (graph("b: {agent: copyAgent, place: {local: small}}", "c: {agent: copyAgent, place: {local: }}"), [("GF119", 3, 40, 5)]),
        (graph("b: {agent: copyAgent, place: {offline: wait, local: {place: edge}}}"), [("GF119", 3, 48, 5), ("GF119", 3, 56, 5)]),
        (graph(OK, inputs="{a: {type: word, defualt: 1}, b: {}, c: 3, d: {type: integer, default: 1.5, description: 2}}"),
         [("GF120", 2, 20, 4), ("GF120", 2, 26, 7), ("GF120", 2, 39, 1), ("GF120", 2, 49, 1), ("GF120", 2, 80, 3), ("GF120", 2, 98, 1)]),
        (graph("b: {agent: copyAgent, label: private}", concurrency="{global: 8, labels: {pii: 1}}"),
         [("GF121", 2, 35, 3), ("GF121", 4, 32, 7)]),
        (graph("a: {boundary: true}", OK, salt="xyz"), [("GF122", 2, 1, 4), ("GF122", 4, 7, 8)]),
        (graph("b: {agent: declassifyAgent, inputs: {value: 1, reason: x}}"), [("GF128", 3, 14, 15), ("GF128", 3, 50, 6)]),
        (graph("b: {agent: copyAgent, inputs: {who: '@maria', t: '${@nwo}'}}"), [("GF150", 3, 39, 8), ("GF150", 3, 52, 9)]),
        (graph("a: {value: 1}", "b: {agent: copyAgent, anyInput: true, inputs: {v: :a}, if: :a}"), [("GF151", 4, 25, 8)]),
        (graph("a: {value: 1}", "b: {agent: copyAgent, if: :a, defaultValue: 0}"), [("GF152", 4, 47, 1)]),
        (graph("a: {value: x}", "b: {agent: copyAgent, inputs: {v: ':a.join(; )'}}"), [("GF153", 4, 37, 13)]),
        ("version: 0.3\nnodes:\n  b: {agent: copyAgent}\n", [("GF154", 1, 10, 3)]),
        ("nodes:\n  b: {agent: copyAgent}\n", [("GF154", 1, 1, 6)]),
        (graph("b: {agent: copyAgent}", inputs="{place: {type: string}}"), [("GF155", 2, 10, 5)]),
        (graph("b: {agent: mapAgent}"), [("GF156", 3, 14, 8), ("GF156", 3, 14, 8)]),
        (graph("b: {agent: copyAgent}", loop="{while: true}"), [("GF157", 2, 15, 4)]),
        (graph("b: {agent: llmAgent, model: hugge}"), [("GF158", 3, 31, 5)]),
        (graph("a: {agent: copyAgent}", "b: {agent: copyAgent, passThrough: {v: :c}}", "c: {agent: copyAgent, inputs: {v: :b}}"),
         [("GF159", 4, 3, 1)]),
    ],
)  # fmt: skip
def test_every_code_points_at_its_place(text: str, found: list[tuple[str, int, int, int]]) -> None:
    problems = checked(text, known_models=["huge"])
    assert places(problems) == found
    assert all(each.code in CODES and each.file == "g.yaml" for each in problems)
    assert all(each.warning == (each.code >= "GF150") for each in problems)


def test_every_code_is_tested() -> None:
    (cases,) = [mark.args[1] for mark in test_every_code_points_at_its_place.pytestmark]  # type: ignore[attr-defined]
    seen = {code for _, found in cases for code, *_ in found}
    assert set(CODES) - seen == {
        "GF100",
        "GF101",
        "GF108",
        "GF123",
        "GF127",
        "GF129",
    }  # what `load` raises, Python objects, integrity, places by labels: elsewhere


# ---- what helps ----


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        (graph("analyse: {value: 1}", "b: {agent: copyAgent, inputs: {v: :analyze.text}}"), 'did you mean "analyse" (line 3)?'),
        (
            "version: 0.5\ninputs:\n  topic: {type: string}\nnodes: {b: {agent: copyAgent, inputs: {v: :topik}}}\n",
            'did you mean "topic" (line 3)?',
        ),
        (graph("b: {agent: copyagent}"), 'did you mean "copyAgent"?'),
        (graph("b: {agent: copyAgent, input: 1}"), 'did you mean "inputs"?'),
        (graph("b: {agent: copyAgent, inputs: {v: '@nwo'}}"), 'did you mean "@now"?'),
        (graph("a: {value: 1}", "b: {agent: copyAgent, inputs: {v: :a.lenght()}}"), 'did you mean "length"?'),
        (graph("a: {value: 1, timeout: 2}", OK), "only nodes with an `agent` have it"),
        (graph("b: {agent: copyAgent, inputs: {v: :quite.different}}"), None),
        ("version: 0.5\nnods: {a: {value: 1}}\n", 'did you mean "nods" (line 2)?'),
    ],
)
def test_misspelt_words_are_recognised(text: str, suggestion: str | None) -> None:
    assert checked(text)[0].suggestion == suggestion


def test_all_problems_in_the_order_of_the_text_with_and_without_one() -> None:
    text = graph("z: {agent: copyAgent, inputs: {v: :y}, bad: 1}", "a:", "b: {agent: nobody}", concurrency="0", colour="red")
    text += "late: 1\n"
    problems = checked(text)
    assert [each.code for each in problems] == ["GF113", "GF104", "GF103", "GF104", "GF102", "GF105", "GF104"]
    plain = check(load_text(text).data, AGENTS)
    assert [(each.code, each.path, each.message) for each in plain] == [(each.code, each.path, each.message) for each in problems]
    assert {(each.line, each.column) for each in plain} == {(0, 0)}
    raised = first(problems)
    assert raised is not None
    assert raised.code == "GF102"


def test_first_follows_graphai_s_steps() -> None:
    text = graph("a: {value: 1, update: :x}", "b: {agent: copyAgent, inputs: {v: :ghost}}", "c: {agent: nobody, colour: 1}")
    problems = checked(text)
    order = []
    while (problem := first(problems)) is not None:
        order.append(problem.path[-1])
        problems.remove(problem)
    assert order == ["colour", "agent", "v", "update"]


# ---- nested graphs ----

NESTED = """
version: 0.5
nodes:
  topic: {value: 1}
  rows:
    agent: mapAgent
    inputs: {rows: [1], other: 2}
    graph:
      nodes:
        inner: {agent: copyAgent, inputs: {a: [:row, :other, :__mapIndex, :topic]}}
"""


def test_a_nested_graph_sees_its_inputs_only() -> None:
    (problem,) = checked(NESTED)
    assert (problem.code, problem.warning, problem.line, problem.column, problem.length) == ("GF103", True, 10, 76, 5)
    assert problem.path == ("nodes", "rows", "graph", "nodes", "inner", "inputs", "a", 3)
    assert problem.suggestion == 'a nested graph sees only its inputs: add "topic" to those of its node'
    (problem,) = checked(NESTED, strict=True)
    assert not problem.warning


@pytest.mark.parametrize(
    ("node", "found"),
    [
        ("{agent: nestedAgent, inputs: {x: 1}, graph: {nodes: {i: {agent: copyAgent, inputs: {v: :x}}}}}", []),
        ("{agent: nestedAgent, inputs: {x: 1}, graph: {nodes: {}}}", ["GF116"]),
        ("{agent: nestedAgent, inputs: {i: 1}, graph: {nodes: {i: {agent: copyAgent}}}}", ["GF111"]),
        ("{agent: mapAgent, inputs: {i: 1, rows: []}, graph: {nodes: {i: {agent: copyAgent}}}}", []),
        ("{agent: mapAgent, params: {rowKey: r}, inputs: {rows: []}, graph: {nodes: {i: {agent: copyAgent, inputs: {v: :r}}}}}", []),
        ("{agent: mapAgent, params: {rowKey: r}, inputs: {rows: []}, graph: {nodes: {i: {agent: copyAgent, inputs: {v: :row}}}}}",
         ["GF103"]),
        ("{agent: ':a', inputs: {x: 1}, graph: {nodes: {i: {agent: copyAgent, inputs: {v: [:x, :row]}}}}}", []),
        ("{agent: nestedAgent, graph: {nodes: {i: {agent: wizard, fit: true}}, loop: {}}}", ["GF105", "GF112"]),
        ("{agent: nestedAgent, graph: {nodes: {i: {agent: nestedAgent, graph: {nodes: 3}}}}}", ["GF102"]),
        ("{agent: nestedAgent}", ["GF156"]),
        ("{agent: nestedAgent, graphLoader: {fileName: x}}", []),
    ],
)  # fmt: skip
def test_problems_of_nested_graphs_warn(node: str, found: list[str]) -> None:
    text = graph("a: {value: nestedAgent}", f"b: {node}")
    problems = checked(text)
    assert [each.code for each in problems] == found
    assert all(each.warning for each in problems)
    assert [each.warning for each in checked(text, strict=True)] == [code == "GF156" for code in found]


# ---- cut graphs ----


def test_cut_graphs() -> None:
    text = graph("a: {boundary: true}", OK, "s: {value: 1, update: :b}", salt="x", filters="[stream]")
    assert checked(text, allow_cut=True) == []
    assert checked(graph("a: {value: 1}"), allow_cut=True) == []
    (problem,) = checked(graph("a: {boundary: true, value: 1}", OK), allow_cut=True)
    assert (problem.code, problem.line, problem.column) == ("GF122", 3, 3)


# ---- large and hostile ----


@pytest.mark.parametrize("data", [{"nodes": {"a": {"value": (1,)}}}, {1: 2}, {"nodes": {"a": {"value": b"x"}}}, {"nodes": {1}}])
def test_what_is_not_data_is_a_problem(data: Any) -> None:
    (problem,) = check(data, AGENTS)
    assert problem.code == "GF123"


def test_data_without_end_is_a_problem() -> None:
    endless: dict[str, Any] = {"nodes": {}}
    endless["nodes"]["a"] = {"value": endless}
    (problem,) = check(endless, AGENTS)
    assert problem.code == "GF108"


def test_deep_nesting_is_checked_to_the_bottom() -> None:
    text = "{nodes: {a: {agent: nobody}}}"
    for _ in range(30):
        text = f"{{nodes: {{a: {{agent: nestedAgent, graph: {text}}}}}}}"
    assert [each.code for each in checked(text) if each.code != "GF154"] == ["GF105"]


def test_thousands_of_problems_are_all_found_and_few_suggestions_sought() -> None:
    nodes: dict[str, Any] = {f"node{i}": {"agent": "copyAgent", "inputs": {"v": f":nod{i}"}} for i in range(5000)}
    problems = [each for each in check({"nodes": nodes}, AGENTS) if each.code == "GF103"]
    assert len(problems) == 5000
    assert 1 <= sum(each.suggestion is not None for each in problems) <= 20


def test_a_circle_of_thousands_is_told_briefly() -> None:
    nodes = {f"n{i}": {"agent": "copyAgent", "inputs": {"v": f":n{(i + 1) % 5000}"}} for i in range(5000)}
    (problem,) = [each for each in check({"nodes": nodes}, AGENTS) if not each.warning]
    assert problem.code == "GF116"
    assert len(problem.message) < 1000


WORDS = st.sampled_from(
    """
    nodes a b agent copyAgent mapAgent nestedAgent inputs graph if value update loop while count concurrency global labels label place at
    local offline sensitivity repeatUntil rows :a :b.c : :: :a.equal( ${:a} ${@x} @ @now params rowKey passThrough anyInput output boundary
    salt any version type default defaultValue model effect exists isResult
    """.split()  # noqa: SIM905 - a list of 55 strings says no more
)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)
NODES = st.dictionaries(WORDS, st.dictionaries(WORDS, DATA, max_size=6), max_size=4)


@given(
    DATA | st.fixed_dictionaries({"nodes": NODES}, optional={"loop": DATA, "concurrency": DATA, "inputs": DATA, "place": DATA})
)
def test_no_data_makes_it_raise(data: Any) -> None:
    for problems in (check(data, AGENTS), check(data, AGENTS, strict=True, allow_cut=True, known_models=["a"])):
        assert all(each.code in CODES and each.message for each in problems)
        assert (first(problems) is None) == all(each.warning for each in problems)
