"""The schema: every right graph has its shape, a graph of another shape is refused, and what it refuses `check` objects to as well."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from draft7 import is_valid, problems, unknown_keywords
from graphs.agents import standard
from graphs.language.check import check
from graphs.language.fields import COMPUTED, FIELDS, GRAPH, STATIC
from graphs.language.load import load_file
from graphs.language.schema import json_schema

TESTS = Path(__file__).resolve().parent
EXAMPLES = sorted((TESTS.parent / "graphs" / "examples").glob("*.yaml"))
CASES = sorted((TESTS / "conformance" / "cases").glob("*.yaml"))
SHAPE = {"GF102", "GF104", "GF106", "GF111", "GF112", "GF113", "GF114", "GF117", "GF119", "GF120", "GF122"}
"""Codes of problems that a schema can see; the others are about names, order and words."""

SCHEMA = json_schema({name: agent.description for name, agent in standard().items()})


def graph(node: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    return {
        "version": 0.5,
        "nodes": {"s": {"value": 1}, "a": node or {"agent": "copyAgent", "inputs": {"x": ":s"}}},
        **attributes,
    }


def errors(document: Any) -> set[str]:
    return {problem.code for problem in check(document, None) if not problem.warning}


def test_it_is_draft_7_and_says_nothing_its_validator_does_not_know() -> None:
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert unknown_keywords(SCHEMA) == set()
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid(path: Path) -> None:
    assert problems(SCHEMA, load_file(path).data) == []


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_conformance_cases_are_valid_unless_their_shape_is_wrong(path: Path) -> None:
    document = load_file(path).data.get("graph")
    if document is None:
        pytest.skip("a case without a graph of its own")
    assert is_valid(SCHEMA, document) == (not errors(document) & SHAPE)


def test_some_cases_are_refused_for_their_shape() -> None:
    documents = [load_file(path).data.get("graph") for path in CASES]
    assert sum(document is not None and not is_valid(SCHEMA, document) for document in documents) >= 8


RIGHT: dict[str, Any] = {
    "concurrency map": graph(concurrency={"global": 2, "labels": {"x": 1}}),
    "count": graph(loop={"count": 3}),
    "while": graph(loop={"while": ":s"}),
    "inputs": graph(inputs={"topic": {"type": "string", "default": "x", "sensitivity": ["private"]}, "bare": None}),
    "place": graph({"agent": "a", "place": {"at": "cloud", "offline": "local", "local": {"model": "small"}}}),
    "nested": graph({"agent": "nestedAgent", "graph": {"nodes": {"x": {"agent": "a"}}}}),
    "graph from a source": graph({"agent": "nestedAgent", "graph": ":s.graph"}),
    "null is left out": graph({"agent": "a", "inputs": None, "retry": None, "place": None, "if": None, "effect": None}),
    "sensitivity": {"nodes": {"s": {"value": 1, "sensitivity": "private"}, "a": {"agent": "x"}}},
}
WRONG: dict[str, Any] = {
    "no map": [],
    "no nodes": {"version": 0.5},
    "empty nodes": {"nodes": {}},
    "nodes a list": {"nodes": []},
    "node null": {"nodes": {"a": None}},
    "unknown graph key": graph(conccurency=1),
    "unknown node key": graph({"agent": "a", "input": {}}),
    "unknown static key": {"nodes": {"s": {"value": 1, "inputs": {}}, "a": {"agent": "x"}}},
    "agent no text": graph({"agent": 1}),
    "agent and value": graph({"agent": "a", "value": 1}),
    "inputs a list": graph({"agent": "a", "inputs": [":s"]}),
    "if no source": graph({"agent": "a", "if": "s"}),
    "update no source": {"nodes": {"s": {"value": 1, "update": "s"}, "a": {"agent": "x"}}},
    "half a limit": graph(concurrency=1.5),
    "limit zero": graph(concurrency=0),
    "no global": graph(concurrency={"labels": {}}),
    "two loops": graph(loop={"count": 1, "while": ":s"}),
    "no loop": graph(loop={}),
    "place elsewhere": graph({"agent": "a", "place": "moon"}),
    "offline otherwise": graph({"agent": "a", "place": {"offline": "pray"}}),
    "local for nothing": graph({"agent": "a", "place": {"offline": "wait", "local": {"model": "small"}}}),
    "local with a place": graph({"agent": "a", "place": {"local": {"place": "edge"}}}),
    "effect unknown": graph({"agent": "a", "effect": "twice"}),
    "repeatUntil without dot": graph({"agent": "a", "repeatUntil": {"exists": "text"}}),
    "label a number": graph({"agent": "a", "label": 1}),
    "input of a strange type": graph(inputs={"t": {"type": "text"}}),
    "input with a strange key": graph(inputs={"t": {"defualt": 1}}),
    "nested wrong": graph({"agent": "nestedAgent", "graph": {"nodes": {"x": {"agent": "a", "wrong": 1}}}}),
    "fit": graph({"agent": "a", "fit": "yes"}),
    "of cut graphs": {"nodes": {"s": {"boundary": True}, "a": {"agent": "x"}}},
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_shapes(name: str) -> None:
    assert problems(SCHEMA, RIGHT[name]) == []
    assert not errors(RIGHT[name]) & SHAPE


@pytest.mark.parametrize("name", WRONG)
def test_wrong_shapes(name: str) -> None:
    assert not is_valid(SCHEMA, WRONG[name])
    assert check(WRONG[name], None)


def test_every_attribute_that_works_has_its_help_and_no_other_is_there() -> None:
    definitions = SCHEMA["definitions"]
    for fields, schema in ((GRAPH, "graph"), (STATIC, "static"), (COMPUTED, "computed")):
        properties = definitions[schema]["properties"]
        assert set(properties) == {name for name, field in fields.items() if field.status == "works"}
        for name, about in properties.items():
            if name != "agent":  # its help stands with the names of agents
                assert about["description"].startswith(fields[name].meaning)
    assert definitions["agent"]["description"] == COMPUTED["agent"].meaning


def test_agents_are_offered_with_their_descriptions_and_others_accepted() -> None:
    offered = {each["const"]: each.get("description") for each in SCHEMA["definitions"]["agent"]["anyOf"] if "const" in each}
    assert offered["copyAgent"] == standard()["copyAgent"].description
    assert is_valid(SCHEMA, graph({"agent": "somebodyElses"}))
    assert is_valid(json_schema(), graph())


def test_defaults_are_those_of_the_table() -> None:
    defaults = {
        (field.where, field.name): field.default for field in FIELDS if field.default is not None and field.status == "works"
    }
    found = {
        (where, name): about["default"]
        for where, schema in (("graph", "graph"), ("static", "static"), ("computed", "computed"))
        for name, about in SCHEMA["definitions"][schema]["properties"].items()
        if "default" in about
    }
    assert found == defaults


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from spots(item)


ODD = st.sampled_from([None, 0, 1.5, -1, True, "", "x", ":s", "edge", [], [1], ["a"], {}, {"x": 1}, {"at": "edge"}, {"count": 1}])
DOCUMENTS = [*RIGHT.values(), *(load_file(path).data for path in EXAMPLES)]


@settings(max_examples=300)
@given(st.data())
def test_whatever_it_refuses_the_checker_objects_to(data: st.DataObject) -> None:
    document = json.loads(json.dumps(data.draw(st.sampled_from(DOCUMENTS))))
    container, key = data.draw(st.sampled_from(list(spots(document))))
    change: Callable[[], None] = data.draw(
        st.sampled_from([lambda: container.__setitem__(key, data.draw(ODD)), lambda: container.__delitem__(key)])
    )
    change()
    if not is_valid(SCHEMA, document):
        assert check(document, None) != []
