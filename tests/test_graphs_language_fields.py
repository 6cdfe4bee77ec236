"""The table of attributes: complete, unambiguous, and the one the checker goes by."""

from __future__ import annotations

from typing import Any

import pytest

from graphs.language.check import check
from graphs.language.fields import COMPUTED, FIELDS, GRAPH, STATIC, Field, described, python_types, word_for

GRAPHAI: dict[str, set[str]] = {
    "graph": {"nodes", "version", "concurrency", "loop", "verbose", "metadata", "agentId"},
    "static": {"value", "update", "isResult", "console"},
    "computed": {
        "agent", "inputs", "params", "graph", "graphLoader", "if", "unless", "defaultValue", "anyInput", "retry", "repeatUntil",
        "timeout", "priority", "label", "output", "passThrough", "isResult", "filterParams", "console",
    },
}  # fmt: skip
"""docs/graph-spec.md, sections 2 and 3."""

OURS: dict[str, set[str]] = {
    "graph": {"retry", "inputs", "place", "budget", "sync", "filters", "salt"},
    "static": {"sensitivity", "integrity", "boundary"},
    "computed": {"place", "model", "sensitivity", "integrity", "requires", "effect", "any", "escalate", "hedge", "budget", "fit"},
}
"""Section 14, and what cut graphs have."""

RIGHT: dict[str, Any] = {
    "string": "x", "number": 1.5, "integer": 2, "boolean": True, "object": {}, "array": [], "source": ":s", "any": None,
}  # fmt: skip


def problems_of(field: Field, value: Any) -> list[str]:
    """The codes of errors in a graph that has this attribute."""
    document: dict[str, Any] = {"version": 0.5, "nodes": {"s": {"value": 1}, "c": {"agent": "copyAgent"}}}
    owner = {"graph": document, "static": document["nodes"]["s"], "computed": document["nodes"]["c"]}[field.where]
    owner[field.name] = value
    return [problem.code for problem in check(document, ["copyAgent"]) if not problem.warning]


def test_every_attribute_is_there_once() -> None:
    assert {where: {f.name for f in FIELDS if f.where == where and not f.ours} for where in GRAPHAI} == GRAPHAI
    assert {where: {f.name for f in FIELDS if f.where == where and f.ours} for where in OURS} == OURS
    assert len(FIELDS) == len(GRAPH) + len(STATIC) + len(COMPUTED)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: f"{field.where}-{field.name}")
def test_every_attribute_is_explained_in_a_line(field: Field) -> None:
    assert field.meaning.endswith(".")
    assert len(field.meaning) < 100
    assert field.types
    assert type(field.default) in python_types(field)


@pytest.mark.parametrize("field", [f for f in FIELDS if f.status != "works"], ids=lambda field: f"{field.where}-{field.name}")
def test_what_does_not_work_yet_is_refused_with_its_own_code(field: Field) -> None:
    value = RIGHT[field.types[0]]
    assert problems_of(field, value) == ["GF122"]


@pytest.mark.parametrize(
    "field", [f for f in FIELDS if f.status == "works" and f.name not in ("nodes", "agent")], ids=lambda f: f"{f.where}-{f.name}"
)
def test_the_checker_goes_by_the_types_of_the_table(field: Field) -> None:
    needs: dict[str, Any] = {
        "loop": {"count": 1},
        "effect": "none",
        "integrity": "untrusted",
        "requires": "trusted",
        "repeatUntil": {"exists": ".x"},
        "concurrency": 2,
        "place": "edge",
        "any": [{}],
        "hedge": {"after": "1s"},
    }
    right = needs.get(field.name, RIGHT[field.types[0]])
    if field.name == "graph":
        right = ":s"
    if (field.where, field.name) == ("static", "update"):
        right = ":c"
    assert problems_of(field, right) == []
    if "any" in field.types:
        return
    assert problems_of(field, None) == []
    wrong: Any = next(value for kind, value in RIGHT.items() if kind != "any" and type(value) not in python_types(field))
    assert problems_of(field, wrong) != []


def test_types_in_words() -> None:
    assert described(("object", "source")) == "a map or a source such as :node.part"
    values: list[Any] = [None, True, 1.5, "x" * 40, {}, [], b""]
    assert [word_for(each) for each in values] == [
        "null", "true", "the number 1.5", f'the text "{"x" * 30}..."', "a map", "a list", "bytes",
    ]  # fmt: skip
