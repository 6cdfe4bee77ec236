"""Patching: what changed between two graphs, node by node and attribute by attribute, and the same changes made to a graph. Pure.

For graphs that programs write, models among them: a change is small, is plain data, can be read and refused, and what comes of
it is checked like any graph. Order is part of a graph's meaning, so changes say where a thing stands, and
`apply(a, diff(a, b))` is `b` to the last position.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeGuard

from graphs.errors import UsageError
from graphs.language.jstext import json_text
from graphs.language.plain import copy_plain
from graphs.language.spec import Graph
from graphs.values import MISSING, Value, canonical

__all__ = ["Change", "Op", "apply", "changes_from", "diff", "patch"]

Op: TypeAlias = Literal["add", "replace", "remove", "move", "set", "unset", "shift"]
"""Of nodes: add, replace, remove, move. Of attributes: set, unset, and shift for one that only changes its position."""

_NODE_OPS: Final = ("add", "replace", "remove", "move")
_OPS: Final = (*_NODE_OPS, "set", "unset", "shift")
_VALUED: Final = ("add", "replace", "set")
_PLACED: Final = ("add", "move", "set", "shift")


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `inside` names the nodes whose nested graphs lead to the one that changes, from the root's.

    `node` is None for an attribute of the graph itself, `key` is None for a change of a node as a whole. `value` is the node or the
    attribute's value. `before` is the node or attribute that then follows; None for the end. To set an attribute that is there
    leaves it where it is.
    """

    op: Op
    node: str | None = None
    key: str | None = None
    value: Value = MISSING
    before: str | None = None
    inside: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Value]:
        """The change as a JSON object; `changes_from` reads it."""
        data: dict[str, Value] = {"op": self.op}
        if self.inside:
            data["inside"] = list(self.inside)
        data |= {name: value for name, value in (("node", self.node), ("key", self.key)) if value is not None}
        if self.op in _VALUED:
            data["value"] = self.value
        if self.before is not None:
            data["before"] = self.before
        return data

    def __str__(self) -> str:
        where = "".join(f"{name}/" for name in self.inside) + (self.node or "")
        what = f"{where}.{self.key}" if where and self.key else where or self.key or ""
        value = f" {json_text(self.value)}" if self.op in _VALUED else ""
        place = f" before {self.before}" if self.before is not None else ""
        return f"{self.op} {what}{value}{place}"


def diff(before: Mapping[str, Value], after: Mapping[str, Value]) -> list[Change]:
    """The changes that make the document `after` of `before`, as few as keep nodes and attributes recognisable.

    Both are graphs' documents (`graphs.language.spec.Graph.document`), `nodes` being a map of maps.
    """
    return list(_diff_graphs(before, after, ()))


def apply(document: Mapping[str, Value], changes: Iterable[Change]) -> dict[str, Value]:
    """The document with the changes made to it, one after the other; what is not changed is shared with the old one, which stays
    as it is. Raises UsageError naming the change that does not fit. Does not check what comes of it: see `patch`.
    """
    made = dict(document)
    for number, change in enumerate(changes, 1):
        try:
            made = _within(made, change.inside, lambda graph, change=change: _made(graph, change))  # type: ignore[misc]
        except _Unfit as reason:
            raise UsageError(f"change {number} ({change}) does not fit: {reason}") from reason
    return made


def patch(graph: Graph, changes: Iterable[Change], agents: Collection[str]) -> Graph:
    """The checked graph that comes of the changes. `agents` are the names known here.

    Raises UsageError for a change that does not fit, and GraphInvalid with all problems of what would come of them.
    """
    return Graph.of(apply(graph.document, changes), agents)


def changes_from(data: Any) -> list[Change]:
    """The changes that JSON data describes, as `Change.as_data` writes them. The data may come from anybody. Raises UsageError."""
    if not isinstance(data, list):
        raise UsageError("changes are a list of maps, each with `op`")
    return [_change_from(each, number) for number, each in enumerate(data, 1)]


# -- reading changes


def _change_from(data: Any, number: int) -> Change:
    def refuse(why: str) -> UsageError:
        return UsageError(f"change {number}: {why}")

    if not isinstance(data, Mapping) or data.get("op") not in _OPS:
        raise refuse(f"`op` is one of {', '.join(_OPS)}")
    op: Op = data["op"]
    for name in data:
        if name not in ("op", "inside", "node", "key", "value", "before"):
            raise refuse(f"a change has no {name!r}")
    inside = data.get("inside", [])
    if not isinstance(inside, list) or not all(isinstance(each, str) for each in inside):
        raise refuse("`inside` is a list of nodes' names")
    for name in ("node", "key", "before"):
        if not isinstance(data.get(name), (str, type(None))):
            raise refuse(f"`{name}` is a name")
    if op in _NODE_OPS and data.get("node") is None:
        raise refuse(f"{op} needs `node`, the node's name")
    if (op in _NODE_OPS) != (data.get("key") is None):
        raise refuse(f"{op} is about a node, it has no `key`" if op in _NODE_OPS else f"{op} needs `key`, the attribute's name")
    if (op in _VALUED) != ("value" in data):
        raise refuse(f"{op} needs `value`" if op in _VALUED else f"{op} has no `value`")
    if op in ("add", "replace") and not isinstance(data["value"], Mapping):
        raise refuse(f"{op} needs a node as `value`: a map")
    if op not in _PLACED and data.get("before") is not None:
        raise refuse(f"{op} has no `before`")
    value = copy_plain(data["value"]) if "value" in data else MISSING
    return Change(op, data.get("node"), data.get("key"), value, data.get("before"), tuple(inside))


# -- finding changes


def _diff_graphs(before: Mapping[str, Value], after: Mapping[str, Value], inside: tuple[str, ...]) -> Iterator[Change]:
    yield from _diff_attributes(before, after, None, inside)
    old, new = before["nodes"], after["nodes"]
    for name in old:
        if name not in new:
            yield Change("remove", name, inside=inside)
    for name, follower, is_new in _order(old, new):
        if is_new:
            yield Change("add", name, None, new[name], follower, inside)
        else:
            yield Change("move", name, before=follower, inside=inside)
    for name, spec in new.items():
        if name in old and not _same(old[name], spec):
            if ("agent" in old[name]) == ("agent" in spec):
                yield from _diff_attributes(old[name], spec, name, inside)
            else:
                yield Change("replace", name, None, spec, inside=inside)


def _diff_attributes(
    before: Mapping[str, Value], after: Mapping[str, Value], node: str | None, inside: tuple[str, ...]
) -> Iterator[Change]:
    """Changes of a node's attributes, or of a graph's own, whose nodes are looked at elsewhere."""
    for key in before:
        if key not in after:
            yield Change("unset", node, key, inside=inside)
    for key, follower, is_new in _order(before, after):
        if is_new:
            yield Change("set", node, key, after[key], follower, inside)
        else:
            yield Change("shift", node, key, before=follower, inside=inside)
    for key, value in after.items():
        if key not in before or _same(before[key], value) or (node is None and key == "nodes"):
            continue
        if node is not None and key == "graph" and _is_graph(before[key]) and _is_graph(value):
            yield from _diff_graphs(before[key], value, (*inside, node))
        else:
            yield Change("set", node, key, value, inside=inside)


def _order(old: Mapping[str, Value], new: Mapping[str, Value]) -> Iterator[tuple[str, str | None, bool]]:
    """(key, the key that follows it, whether it is new) of all that has to be put in place, from the last to the first.

    What is there already and lies in the longest part whose order is right stays where it is.
    """
    position = {key: place for place, key in enumerate(old)}
    staying = _longest_rising([(position[key], key) for key in new if key in old])
    follower: str | None = None
    for key in reversed(list(new)):
        if key not in old or key not in staying:
            yield key, follower, key not in old
        follower = key


def _longest_rising(pairs: Sequence[tuple[int, str]]) -> set[str]:
    """The keys of a longest part of the pairs whose numbers rise (patience sorting)."""
    tops: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for place, (number, _) in enumerate(pairs):
        pile = bisect_left(tops, number)
        previous.append(ends[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [number]
        ends[pile : pile + 1] = [place]
    found: set[str] = set()
    place = ends[-1] if ends else -1
    while place >= 0:
        found.add(pairs[place][1])
        place = previous[place]
    return found


def _same(one: Value, other: Value) -> bool:
    """Whether two values are the same part of a graph: order counts, and true is not 1."""
    return canonical(one, strict=True) == canonical(other, strict=True)


def _is_graph(value: Value) -> TypeGuard[Mapping[str, Value]]:
    nodes = value.get("nodes") if isinstance(value, Mapping) else None
    return isinstance(nodes, Mapping) and all(isinstance(each, Mapping) for each in nodes.values())


# -- making changes


class _Unfit(Exception):
    """Why a change cannot be made."""


def _within(
    graph: Mapping[str, Value], inside: Sequence[str], make: Callable[[Mapping[str, Value]], dict[str, Value]]
) -> dict[str, Value]:
    """The graph with a change made to the nested graph that the names lead to."""
    if not inside:
        return make(graph)
    name, *rest = inside
    node = _node(graph, name)
    inner = node.get("graph")
    if not _is_graph(inner):
        raise _Unfit(f"node {name!r} holds no graph of its own")
    return _with_node(graph, name, {**node, "graph": _within(inner, rest, make)})


def _made(graph: Mapping[str, Value], change: Change) -> dict[str, Value]:
    if change.op in _NODE_OPS:
        assert change.node is not None
        nodes = _changed(_nodes(graph), change, change.node, "node")
        return {**graph, "nodes": nodes}
    assert change.key is not None
    if change.node is None:
        if change.key == "nodes" and change.op != "shift":
            raise _Unfit("nodes are added and removed one by one")
        return _changed(graph, change, change.key, "attribute")
    return _with_node(graph, change.node, _changed(_node(graph, change.node), change, change.key, "attribute"))


def _changed(items: Mapping[str, Value], change: Change, name: str, kind: str) -> dict[str, Value]:
    there = name in items
    if change.op == "add" and there:
        raise _Unfit(f"there is a {kind} {name!r} already")
    if change.op not in ("add", "set") and not there:
        raise _Unfit(f"there is no {kind} {name!r}")
    if change.op == "replace" or (change.op == "set" and there and change.before is None):
        return {**items, name: change.value}
    rest = {key: value for key, value in items.items() if key != name}
    if change.op in ("remove", "unset"):
        return rest
    if change.before is not None and change.before not in rest:
        raise _Unfit(f"there is no {kind} {change.before!r} to stand before")
    value = items[name] if change.op in ("move", "shift") else change.value
    if change.before is None:
        return {**rest, name: value}
    made: dict[str, Value] = {}
    for key, item in rest.items():
        if key == change.before:
            made[name] = value
        made[key] = item
    return made


def _nodes(graph: Mapping[str, Value]) -> Mapping[str, Value]:
    nodes = graph.get("nodes")
    if not isinstance(nodes, Mapping):
        raise _Unfit("the graph has no nodes")
    return nodes


def _node(graph: Mapping[str, Value], name: str) -> Mapping[str, Value]:
    node = _nodes(graph).get(name)
    if not isinstance(node, Mapping):
        raise _Unfit(f"there is no node {name!r}")
    return node


def _with_node(graph: Mapping[str, Value], name: str, node: Mapping[str, Value]) -> dict[str, Value]:
    return {**graph, "nodes": {**_nodes(graph), name: node}}
