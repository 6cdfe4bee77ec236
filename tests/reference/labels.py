"""Sensitivity labels by their definition, slowly: every way that a value, or a decision, can take into another value is an arrow between two
places, and a label is wherever the arrows lead from where it is declared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphs.language.refs import names_in

__all__ = ["reached"]

_Place = tuple[str, str]
"""(what, path): the value of a node, or the decision that a graph runs."""


def reached(graph: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """The labels of each node's value, by its place in the document; without those that have none. Every nested graph is written in its node."""
    arrows: dict[_Place, set[_Place]] = {}
    declared: dict[_Place, set[str]] = {}
    for source, target in _arrows(graph, ""):
        arrows.setdefault(source, set()).add(target)
    for path, node in _nodes(graph, ""):
        words = node.get("sensitivity") or []
        declared.setdefault(("value", path), set()).update([words] if isinstance(words, str) else words)
        if "graph" in node:  # what is said of the whole holds for all that it is made in, and of
            around = [(path, node), *((each, inner) for each, inner in _nodes(node["graph"], f"{path}/") if "graph" in inner)]
            inside = [each for each, _ in _nodes(node["graph"], f"{path}/")]
            inside += [f"{each}/{name}" for each, inner in around for name in _filled(inner)]
            for spot in [("runs", f"{path}/"), *(("value", each) for each in inside)]:
                declared.setdefault(spot, set()).update([words] if isinstance(words, str) else words)
    found: dict[str, set[str]] = {}
    for source, words in declared.items():
        for place in _from(source, arrows):
            if place[0] == "value":
                found.setdefault(place[1], set()).update(words)
    return {path: frozenset(words) for path, words in found.items() if words}


def _from(source: _Place, arrows: Mapping[_Place, set[_Place]]) -> set[_Place]:
    seen, todo = {source}, [source]
    while todo:
        for place in arrows.get(todo.pop(), ()):
            if place not in seen:
                seen.add(place)
                todo.append(place)
    return seen


def _nodes(graph: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, node in graph["nodes"].items():
        yield prefix + name, node
        if "graph" in node:
            yield from _nodes(node["graph"], f"{prefix}{name}/")


def _arrows(graph: Mapping[str, Any], prefix: str) -> Iterator[tuple[_Place, _Place]]:
    loop = graph.get("loop") or {}
    turns = list(names_in(loop.get("while")))
    for name, node in graph["nodes"].items():
        here = ("value", prefix + name)
        if "update" in node or any("__loopIndex" in text or "@loop" in text for text in _texts(node)):
            yield from ((("value", prefix + each), here) for each in turns)
        if "agent" not in node:
            yield from ((("value", prefix + each), here) for each in names_in(node.get("update")))
            continue
        yield ("runs", prefix), here
        decides = [each for key in ("if", "unless", "agent") for each in names_in(_source(node.get(key)))]
        for each in (*decides, *names_in(node.get("passThrough"))):
            yield ("value", prefix + each), here
        if "graph" not in node:
            yield from ((("value", prefix + each), here) for each in names_in(node.get("inputs")))
            continue
        inside = f"{prefix}{name}/"
        runs = ("runs", inside)
        yield ("runs", prefix), runs
        yield from ((("value", prefix + each), runs) for each in decides)
        yield from _into(node, prefix, inside)
        yield from _arrows(node["graph"], inside)
        yield from _out_of(node, inside, here)


def _filled(node: Mapping[str, Any]) -> set[str]:
    """The names under which a node hands something into the graph in it."""
    params, inputs = node.get("params") or {}, set(node.get("inputs") or {})
    return inputs - {"rows"} | {params.get("rowKey") or "row", "__mapIndex"} if node["agent"] == "mapAgent" else inputs


def _into(node: Mapping[str, Any], prefix: str, inside: str) -> Iterator[tuple[_Place, _Place]]:
    is_map, params = node["agent"] == "mapAgent", node.get("params") or {}
    for key, item in (node.get("inputs") or {}).items():
        for each in names_in(item):
            source = ("value", prefix + each)
            if key == ("rows" if is_map else "loopCount"):
                yield source, ("runs", inside)
                yield source, ("value", inside.rstrip("/"))
            if is_map and key == "rows":
                yield source, ("value", inside + (params.get("rowKey") or "row"))
                yield source, ("value", inside + "__mapIndex")
            else:
                yield source, ("value", inside + key)


def _out_of(node: Mapping[str, Any], inside: str, here: _Place) -> Iterator[tuple[_Place, _Place]]:
    params = node.get("params") or {}
    told = params.get("supressError") or params.get("suppressError")
    if told:  # the text of an error of any node inside, also of one that is deeper
        yield from ((("value", path), here) for path, _ in _nodes(node["graph"], inside))
        yield ("runs", inside), here
    given = [*(node.get("inputs") or {}), *(["row", "__mapIndex"] if node["agent"] == "mapAgent" else [])]
    if told or params.get("resultAll"):
        yield from ((("value", inside + each), here) for each in (*node["graph"]["nodes"], *given))
    for name, inner in node["graph"]["nodes"].items():
        if inner.get("isResult"):
            yield ("value", inside + name), here


def _source(value: Any) -> Any:
    return value if isinstance(value, str) and value.startswith(":") else None


def _texts(item: Any) -> Iterator[str]:
    if isinstance(item, Mapping) and "agent" in item:
        yield from _texts([item.get("inputs"), item.get("passThrough")])
    elif isinstance(item, Mapping):
        for each in item.values():
            yield from _texts(each)
    elif isinstance(item, (list, tuple)):
        for each in item:
            yield from _texts(each)
    elif isinstance(item, str):
        yield item
