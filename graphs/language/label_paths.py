"""Where a label comes from: the way from a value that carries it by itself, through the nodes that read it, to the node that is asked about. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from graphs.language.labels import Labels, own_labels
from graphs.language.spec import Graph, reads, written_inside
from graphs.paths import escape
from graphs.values import Value

__all__ = ["label_path", "told"]

_MOST: int = 8


def label_path(graph: Graph, labels: Labels, name: str, label: str) -> list[str]:
    """The nodes from the source of a label to the node `name`, that one last; the shortest such way. Nodes inside others are `outer/inner`.

    The source is the node itself where nothing it reads has the label: it carries it by what it, its agent or what is around it says.
    """
    before: dict[str, str] = {}
    todo = deque([name])
    seen = {name}
    while todo:
        each = todo.popleft()
        spec = graph.nodes.get(each, {})
        sources = [source for source in reads(spec) if label in labels.values.get(source, ())]
        if label in own_labels(spec) or not sources:
            return [*_inner_source(graph, labels, each, label, found=bool(sources)), *_back(before, each, name)]
        for source in sources:
            if source not in seen:
                seen.add(source)
                before[source] = each
                todo.append(source)
    return [name]  # everything it came from goes round in a circle


def told(path: list[str]) -> str:
    """A way in words: `secret -> summary -> merge`; the middle of a long one is left out."""
    shown = path if len(path) <= _MOST else [*path[: _MOST // 2], "...", *path[-_MOST // 2 :]]
    return " -> ".join(shown)


def _back(before: Mapping[str, str], source: str, name: str) -> Iterator[str]:
    each = source
    yield each
    while each != name:
        each = before[each]
        yield each


def _inner_source(graph: Graph, labels: Labels, name: str, label: str, *, found: bool) -> list[str]:
    """The way inside the graph that is written in a node, if the label begins there."""
    spec: Mapping[str, Value] = graph.nodes.get(name, {})
    inner, inside = labels.inside.get(name), written_inside(spec)
    if found or inner is None or inside is None or label in own_labels(spec):
        return []
    results = [each for each, node in inside.nodes.items() if node.get("isResult") and label in inner.values.get(each, ())]
    carrying = results or [each for each in inside.nodes if label in inner.touched.get(each, ())]
    if not carrying:
        return []
    return [f"{escape(name)}/{each}" for each in label_path(inside, inner, carrying[0], label)]
