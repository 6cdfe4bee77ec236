"""A validator of the part of JSON Schema draft-07 that graphferry's schema uses; `jsonschema` is no dependency."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["is_valid", "problems", "unknown_keywords"]

_KEYWORDS = frozenset({
    "$schema", "title", "description", "default", "definitions", "$ref", "type", "enum", "const", "anyOf", "oneOf", "allOf", "if", "then",
    "else", "properties", "additionalProperties", "required", "minProperties", "items", "pattern", "minLength", "minimum",
})  # fmt: skip
_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),), "boolean": (bool,), "string": (str,), "number": (int, float), "object": (dict,), "array": (list,),
}  # fmt: skip


def is_valid(schema: dict[str, Any], value: Any) -> bool:
    return next(_problems(schema, schema, value, ""), None) is None


def problems(schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with the value, each with its place."""
    return list(_problems(schema, schema, value, ""))


def unknown_keywords(schema: Any) -> set[str]:
    """The words of a schema that this validator would overlook."""
    found: set[str] = set()
    for key, part in schema.items() if isinstance(schema, dict) else ():
        if key not in _KEYWORDS:
            found.add(key)
        elif key in ("properties", "definitions"):
            for each in part.values():
                found |= unknown_keywords(each)
        elif key in ("anyOf", "oneOf", "allOf"):
            for each in part:
                found |= unknown_keywords(each)
        elif key in ("if", "then", "else", "items", "additionalProperties"):
            found |= unknown_keywords(part)
    return found


def _problems(root: dict[str, Any], schema: Any, value: Any, at: str) -> Iterator[str]:
    if schema is True:
        return
    if schema is False:
        yield f"{at}: not allowed"
        return
    if "$ref" in schema:  # whatever stands beside it does not count in draft-07
        yield from _problems(root, root["definitions"][schema["$ref"].removeprefix("#/definitions/")], value, at)
        return
    types = schema.get("type")
    if types is not None and not any(_is(value, each) for each in ([types] if isinstance(types, str) else types)):
        yield f"{at}: not of type {types}"
    if "enum" in schema and not any(_equal(value, each) for each in schema["enum"]):
        yield f"{at}: not one of {schema['enum']}"
    if "const" in schema and not _equal(value, schema["const"]):
        yield f"{at}: not {schema['const']}"
    yield from _combined(root, schema, value, at)
    if isinstance(value, dict):
        yield from _object(root, schema, value, at)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _problems(root, schema.get("items", True), item, f"{at}/{place}")
    elif isinstance(value, str):
        if len(value) < schema.get("minLength", 0) or not re.search(schema.get("pattern", ""), value):
            yield f"{at}: {value!r} has not the form asked for"
    elif _is(value, "number") and value < schema.get("minimum", value):
        yield f"{at}: below {schema['minimum']}"


def _combined(root: dict[str, Any], schema: dict[str, Any], value: Any, at: str) -> Iterator[str]:
    def holds(part: Any) -> bool:
        return next(_problems(root, part, value, at), None) is None

    for part in schema.get("allOf", ()):
        yield from _problems(root, part, value, at)
    if "anyOf" in schema and not any(map(holds, schema["anyOf"])):
        yield f"{at}: fits none of anyOf"
    if "oneOf" in schema and sum(map(holds, schema["oneOf"])) != 1:
        yield f"{at}: fits not just one of oneOf"
    if "if" in schema:
        yield from _problems(root, schema.get("then" if holds(schema["if"]) else "else", True), value, at)


def _object(root: dict[str, Any], schema: dict[str, Any], value: dict[str, Any], at: str) -> Iterator[str]:
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{at}: lacks {key}"
    if len(value) < schema.get("minProperties", 0):
        yield f"{at}: too few entries"
    properties = schema.get("properties", {})
    for key, item in value.items():
        yield from _problems(root, properties.get(key, schema.get("additionalProperties", True)), item, f"{at}/{key}")


def _is(value: Any, kind: str) -> bool:
    if kind == "integer":
        return _is(value, "number") and value == value // 1
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
