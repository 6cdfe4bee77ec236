"""What a graph's texts mean, read anew each time they are needed (docs/graph-spec.md §4, §6.2, §6.3, §6.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from graphs.language.functions import compile_property
from graphs.language.jstext import text
from graphs.values import MISSING, Value

__all__ = ["awaited", "holds", "laid_over", "path_into", "resolve", "shaped", "without_nothing"]

Nodes = Mapping[str, Mapping[str, Value]]

_PATTERN = re.compile(r"\$\{(:[^}]+)\}")


def resolve(item: Value, values: Mapping[str, Value], turn: int) -> Value:
    """Anything that stands in `inputs`: sources and templates filled in, at any depth."""
    if isinstance(item, dict):
        return {key: resolve(each, values, turn) for key, each in item.items()}
    if isinstance(item, list):
        return [resolve(each, values, turn) for each in item]
    if isinstance(item, str) and _PATTERN.search(item):
        return _PATTERN.sub(lambda found: text(resolve(found[1], values, turn)), item)
    if isinstance(item, str) and item.startswith(":"):
        name, *properties = item[1:].split(".")
        value = turn if name == "__loopIndex" else values.get(name, MISSING)
        for each in properties:
            value = compile_property(each)(value)
        return value
    if item == "@loop":
        return turn
    return item


def awaited(node: Mapping[str, Value]) -> set[str]:
    """The nodes that a computed node waits for (§6.2), or that a static one takes its update from."""
    places = [node.get("inputs"), node.get("passThrough"), *(node.get(key) for key in ("agent", "if", "unless", "update"))]
    if isinstance(node.get("graph"), str):
        places.append(node["graph"])
    named = {name for place in places for name in _named(place)}
    return named - {"__loopIndex"}


def _named(item: Value) -> Iterator[str]:
    if isinstance(item, dict):
        for each in item.values():
            yield from _named(each)
    elif isinstance(item, list):
        for each in item:
            yield from _named(each)
    elif isinstance(item, str):
        for source in _PATTERN.findall(item) or ([item] if item.startswith(":") else []):
            yield source[1:].split(".")[0]


def holds(value: Value) -> bool:
    """Whether a condition's value counts as true (§6.3)."""
    nothing = value is MISSING or value is None or value is False or value in (0, "") or value != value
    return not nothing and value != []


def without_nothing(item: Value) -> Value:
    """An anyInput node's inputs as it sees them (§6.2)."""
    if isinstance(item, dict):
        return {key: without_nothing(each) for key, each in item.items() if each is not None and each is not MISSING}
    if isinstance(item, list):
        return [without_nothing(each) for each in item if each is not None and each is not MISSING]
    return item


def laid_over(value: Value, entries: Mapping[str, Value]) -> Value:
    """`passThrough` over a value (§6.6)."""
    if isinstance(value, list):
        return [{**each, **entries} if isinstance(each, dict) else each for each in value]
    return {**value, **entries} if isinstance(value, dict) else value


def shaped(output: Value, value: Value) -> Value:
    """`output` of a value (§6.6)."""
    if isinstance(output, dict):
        return {key: shaped(each, value) for key, each in output.items()}
    if isinstance(output, str) and output.startswith("."):
        for each in output[1:].split("."):
            value = compile_property(each)(value)
        return value
    return output


def path_into(value: Value, path: str) -> Any:
    """`repeatUntil.exists`: a path of plain keys (§6.5)."""
    for key in path[1:].split("."):
        value = value.get(key, MISSING) if isinstance(value, dict) else MISSING
    return value
