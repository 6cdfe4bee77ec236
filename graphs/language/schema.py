"""The JSON Schema of graphs, made from the table of fields: completion and hover help in editors, and a first check elsewhere. Pure.

Draft-07, because the YAML language server stops there. It knows shapes only: what a shape cannot say (whether a source names a node,
whether anything can start) only `graphs.language.check` finds. What it refuses, `check` refuses or warns of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from graphs.language.check_attributes import INPUT_TYPES
from graphs.language.check_place import ALTERNATIVE
from graphs.language.fields import COMPUTED, GRAPH, OFFLINE, PLACES, STATIC, Field, JsonType

__all__ = ["json_schema"]

_DRAFT: Final = "http://json-schema.org/draft-07/schema#"


_Schema: TypeAlias = dict[str, Any]

_TYPES: Final[Mapping[JsonType, _Schema]] = {
    "string": {"type": "string"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "object": {"type": "object"},
    "array": {"type": "array"},
    "source": {"$ref": "#/definitions/source"},
    "any": {},
}


def json_schema(agents: Mapping[str, str] | None = None) -> _Schema:
    """The schema of a graph's document. `agents` are names to offer and their descriptions; any other name is accepted, too."""
    static, computed = _attributes(STATIC), _attributes(COMPUTED)
    computed["agent"] = {"allOf": [{"$ref": "#/definitions/agent"}]}
    return {
        "$schema": _DRAFT,
        "title": "A graph of graphferry",
        "allOf": [{"$ref": "#/definitions/graph"}],
        "properties": {"nodes": {"minProperties": 1}},
        "definitions": {
            "graph": _graph(),
            "node": {
                "description": "A node: static with a `value`, or computed by an `agent`.",
                "type": "object",
                "properties": {"agent": {"description": COMPUTED["agent"].meaning}},
                "if": {"required": ["agent"]},
                "then": {"$ref": "#/definitions/computed"},
                "else": {"$ref": "#/definitions/static"},
            },
            "static": _closed(static),
            "computed": _closed(computed),
            "local": {
                **_closed({key: value for key, value in computed.items() if key in ALTERNATIVE}),
                "description": "Attributes that differ where the node runs on the device after all.",
            },
            "implementation": {
                **_closed({key: value for key, value in computed.items() if key in ALTERNATIVE}),
                "description": "Attributes of one way to do the node.",
            },
            "agent": _agent(agents or {}),
            "source": {"type": "string", "pattern": "^:", "description": "A source: a node's value, :node.part.part"},
            "labels": _labels(),
            "limit": {"type": "integer", "minimum": 1},
            "place": _place(),
            "input": _input(),
        },
    }


def _graph() -> _Schema:
    properties = _attributes(GRAPH)
    properties["nodes"] |= {"additionalProperties": {"$ref": "#/definitions/node"}}
    return {"type": "object", "properties": properties, "required": ["nodes"], "additionalProperties": False}


def _closed(properties: Mapping[str, _Schema]) -> _Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _attributes(fields: Mapping[str, Field]) -> dict[str, _Schema]:
    """The attributes that work, each with its help; null counts as left out wherever a value is not just anything."""
    found: dict[str, _Schema] = {}
    for name, field in fields.items():
        if field.status != "works":
            continue
        help_: _Schema = {"description": field.meaning + (" (Not part of GraphAI.)" if field.ours else "")}
        if field.default is not None:
            help_["default"] = field.default
        special = _SPECIAL.get((field.where, name)) or _SPECIAL.get(("", name))
        shape = special or _typed(field)
        if "$ref" in shape:  # in draft-07 it hides whatever stands beside it
            shape = {"allOf": [shape]}
        found[name] = {**help_, **shape}
    return found


def _typed(field: Field) -> _Schema:
    if field.types == ("any",):
        return {}
    if field.name in _REQUIRED:
        return dict(_TYPES[field.types[0]])
    if field.choices:
        return {"enum": [*field.choices, None]}
    names = [_TYPES[each].get("type") for each in field.types]
    if None not in names:
        return {"type": [*names, "null"]}
    return _or_null(*(_TYPES[each] for each in field.types))


def _or_null(*schemas: _Schema) -> _Schema:
    return {"anyOf": [*schemas, {"type": "null"}]}


_REQUIRED: Final = ("nodes", "agent")


def _agent(agents: Mapping[str, str]) -> _Schema:
    known = [{"const": name, **({"description": about} if about else {})} for name, about in agents.items()]
    return {"description": COMPUTED["agent"].meaning, "anyOf": [*known, {"type": "string"}]}


def _labels() -> _Schema:
    word = {"type": "string", "minLength": 1}
    return _or_null(word, {"type": "array", "items": word})


def _place() -> _Schema:
    parts = _closed(
        {
            "at": {"enum": list(PLACES), "description": "Where it runs."},
            "offline": {"enum": list(OFFLINE), "description": "Without a worker: wait, run the local alternative, or fail."},
            "local": _or_null({"$ref": "#/definitions/local"}),
        }
    )
    never_local = {
        "if": {"required": ["offline"], "properties": {"offline": {"enum": ["wait", "fail"]}}},
        "then": {"properties": {"local": {"type": "null"}}},
    }
    return _or_null({"enum": list(PLACES)}, {**parts, **never_local})


def _input() -> _Schema:
    about: dict[str, _Schema] = {
        "type": {"enum": [*INPUT_TYPES, None], "description": "The type of the input's values."},
        "default": {"description": "Its value where none is given."},
        "description": {"type": ["string", "null"], "description": "What it is for; `graphferry run GRAPH --help` shows it."},
        "sensitivity": {"$ref": "#/definitions/labels"},
        "integrity": {"enum": [*STATIC["integrity"].choices, None], "description": STATIC["integrity"].meaning},
    }
    return _or_null(_closed(about))


def _loop() -> _Schema:
    count = {"type": ["number", "null"], "description": "The number of turns."}
    condition = _or_null({"$ref": "#/definitions/source"}, {"type": "boolean"})
    return _or_null(
        {
            **_closed({"count": count, "while": {**condition, "description": "Another turn while this is true."}}),
            "oneOf": [{"required": ["count"]}, {"required": ["while"]}],
        },
        {"enum": [False, 0, ""], "description": "No loop, as GraphAI reads it."},
    )


def _concurrency() -> _Schema:
    limit = {"$ref": "#/definitions/limit"}
    by_label = _or_null({"type": "object", "additionalProperties": limit})
    return _or_null(limit, {**_closed({"global": limit, "labels": by_label}), "required": ["global"]})


def _repeat_until() -> _Schema:
    path = {"type": "string", "pattern": "^\\.", "description": "A path into the node's value, with a leading dot."}
    return _or_null({"type": "object", "properties": {"exists": path}, "required": ["exists"]})


_SPECIAL: Final[Mapping[tuple[str, str], _Schema]] = {
    ("", "place"): {"$ref": "#/definitions/place"},
    ("", "sensitivity"): {"$ref": "#/definitions/labels"},
    ("graph", "loop"): _loop(),
    ("graph", "concurrency"): _concurrency(),
    ("graph", "inputs"): _or_null({"type": "object", "additionalProperties": {"$ref": "#/definitions/input"}}),
    ("computed", "graph"): _or_null({"$ref": "#/definitions/graph"}, {"$ref": "#/definitions/source"}),
    ("computed", "repeatUntil"): _repeat_until(),
    ("computed", "any"): _or_null(
        {"type": "array", "items": {"$ref": "#/definitions/implementation"}}, {"type": "integer", "minimum": 0}
    ),
}
"""What the table's types alone do not say."""
