"""A picture of a graph before anybody draws it: its boxes, its lines, and the words on them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from graphs.language.jstext import json_text, truthy
from graphs.language.refs import is_source, names, names_in
from graphs.language.spec import Graph, is_boundary, is_computed
from graphs.terminal import printable
from graphs.values import Value

__all__ = ["Arrow", "Box", "Kind", "Picture", "Tie", "Whereabouts", "picture_of"]

Kind: TypeAlias = Literal["static", "computed", "nested", "given", "boundary"]
"""`nested` holds a graph; `given` stands in a nested graph for what the node around it hands in."""

Tie: TypeAlias = Literal["data", "condition", "update"]
"""Why one node waits for another; `update` is what a static node takes over for the next turn."""

Whereabouts: TypeAlias = Mapping[str, tuple[str, str]]
"""By node: its place, and the reason in a sentence."""

_DEEPEST: Final = 8
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Box:
    """A node. `what` is its agent and model or its value, `notes` what else matters in short, `place` empty where unknown.

    `inner` is the graph inside it; `folded` says in words what is inside where that is not drawn.
    """

    name: str
    kind: Kind
    what: str
    notes: tuple[str, ...] = ()
    place: str = ""
    why: str = ""
    is_result: bool = False
    inner: Picture | None = None
    folded: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """`target` waits for `source`, both positions of boxes. `label` is empty for plain data."""

    source: int
    target: int
    tie: Tie = "data"
    label: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph's boxes in written order, its arrows, and what holds for the whole of it."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    about: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """The boxes of this graph and of those inside it."""
        return len(self.boxes) + sum(box.inner.count for box in self.boxes if box.inner is not None)


def picture_of(graph: Graph, places: Whereabouts | None = None, *, fold: bool = False) -> Picture:
    """The picture of a checked graph. Without `places` it shows those that the graph itself states; `fold` leaves out what is
    inside nested graphs.

    Values that carry a sensitivity are not in it: pictures are shown around.
    """
    return _picture(graph, places, fold, 0, "")


def _picture(graph: Graph, places: Whereabouts | None, fold: bool, depth: int, inherited: str) -> Picture:
    declared = graph.document.get("inputs") or {}
    default = _stated(graph.document.get("place")) or inherited
    boxes = {}
    for name, spec in graph.nodes.items():
        if not is_computed(spec):
            boxes[name] = _static(name, spec, _labels(spec, declared.get(name)))
            continue
        place, why = _stated(spec.get("place")) or default, ""
        if places is not None:
            place, why = places.get(name, (inherited, ""))
        boxes[name] = _computed(name, spec, place, why, fold, depth)
    for name in _given(graph):
        boxes[name] = Box(_shown(name), "given", "given by the node around it")
    position = {name: place for place, name in enumerate(boxes)}
    arrows = [
        Arrow(position[source], position[name], tie, label)
        for name, spec in graph.nodes.items()
        for source, tie, label in _ties(spec)
        if source in position
    ]
    return Picture(tuple(boxes.values()), tuple(arrows), tuple(_about(graph.document)))


def _static(name: str, spec: Mapping[str, Value], labels: list[str]) -> Box:
    notes = []
    if spec.get("update") is not None:
        notes.append(f"next turn {_shown(spec['update'])}")
    if is_boundary(spec):
        return Box(_shown(name), "boundary", "comes from elsewhere")
    what = _preview(spec["value"]) if "value" in spec else "no value yet"
    if labels:
        what = ", ".join(labels)
    return Box(_shown(name), "static", what, tuple(notes), is_result=spec.get("isResult") is True)


def _computed(name: str, spec: Mapping[str, Value], place: str, why: str, fold: bool, depth: int) -> Box:
    what = _shown(str(spec["agent"]))
    model = _model(spec)
    if model:
        what += f" · {_shown(model)}"
    notes = [f"{word} {_shown(spec[word])}" for word in ("if", "unless") if isinstance(spec.get(word), str)]
    if spec.get("anyInput") is True:
        notes.append("any input")
    inner, folded = _inside(spec, place, fold, depth)
    kind: Kind = "nested" if inner is not None or folded else "computed"
    return Box(_shown(name), kind, what, tuple(notes), place, why, spec.get("isResult") is True, inner, folded)


def _inside(spec: Mapping[str, Value], place: str, fold: bool, depth: int) -> tuple[Picture | None, str]:
    """The graph inside a node, or what is said instead of drawing it."""
    document = spec.get("graph")
    if is_source(document):
        return None, f"graph from {_shown(document)}, at run time"
    if "graphLoader" in spec:
        return None, "graph fetched when it runs"
    if not isinstance(document, Mapping):
        return None, ""
    nodes = document.get("nodes")
    if not isinstance(nodes, Mapping) or not all(isinstance(each, Mapping) for each in nodes.values()):
        return None, "not a graph: graphferry check says why"
    if fold or depth >= _DEEPEST:
        return None, f"{len(nodes)} nodes inside"
    declared = document.get("inputs")
    fit = {key: value for key, value in document.items() if key != "inputs" or isinstance(declared, Mapping)}
    return _picture(Graph(fit), None, fold, depth + 1, place), ""


def _given(graph: Graph) -> list[str]:
    """The names that nodes of this graph read although it has no node of that name: the node around it hands them in."""
    named = dict.fromkeys(source for spec in graph.nodes.values() for source, _, _ in _ties(spec))
    return [name for name in named if name not in graph.nodes]


def _ties(spec: Mapping[str, Value]) -> Iterator[tuple[str, Tie, str]]:
    """The nodes a node names, each with the reason; twice only if for different reasons."""
    seen: dict[tuple[str, Tie, str], None] = {}
    if is_computed(spec):
        for key in ("inputs", "passThrough"):
            seen.update(dict.fromkeys((source, "data", "") for source in names_in(spec.get(key))))
        for key in ("agent", "graph"):
            if is_source(spec.get(key)):
                seen.update(dict.fromkeys((source, "data", key) for source in names(spec[key])))
        for key in ("if", "unless"):
            if is_source(spec.get(key)):
                seen.update(dict.fromkeys((source, "condition", key) for source in names(spec[key])))
    elif is_source(spec.get("update")):
        seen.update(dict.fromkeys((source, "update", "next turn") for source in names(spec["update"])))
    yield from seen


def _labels(spec: Mapping[str, Value], declared: Value) -> list[str]:
    """The sensitivity of a static node's value, as the node or its declaration states it."""
    said = [each.get("sensitivity") for each in (spec, declared) if isinstance(each, Mapping)]
    words = [word for each in said for word in (each if isinstance(each, list) else [each]) if word is not None]
    return list(dict.fromkeys(_shown(word) for word in words))


def _about(document: Mapping[str, Value]) -> Iterator[str]:
    loop = document.get("loop")
    if isinstance(loop, Mapping) and truthy(loop):
        if "count" in loop:
            yield f"runs in turns: {_shown(json_text(loop['count']))}"
        else:
            yield f"runs in turns while {_shown(str(loop.get('while')))}"
    limit = document.get("concurrency")
    if isinstance(limit, Mapping):
        limit = limit.get("global")
    if limit is not None:
        yield f"at most {_shown(json_text(limit))} at once"


def _stated(place: Value) -> str:
    """The place a graph or node states, if it states one."""
    if isinstance(place, Mapping):
        place = place.get("at")
    return str(place) if place in ("edge", "cloud") else ""


def _model(spec: Mapping[str, Value]) -> str:
    """The model a node names, if it names one before it runs."""
    for holder in (spec.get("inputs"), spec.get("params"), spec):
        model = holder.get("model") if isinstance(holder, Mapping) else None
        if isinstance(model, str) and model and not is_source(model):
            return model
    return ""


def _preview(value: Value) -> str:
    return _shown(" ".join(value.split()) if isinstance(value, str) else json_text(value))


def _shown(text: Value) -> str:
    """A text of the graph as pictures show it: without control characters, and not endless."""
    shown = printable(str(text))
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
