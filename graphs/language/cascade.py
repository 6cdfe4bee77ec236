"""Cascades and hedges. `escalate` asks a second model where the first one's answer is not sure enough; `hedge` asks at a second place where
the first is late, takes whichever answers first, and stops the other.

Neither is anything new to the engine: a node that says so is a nested graph, and this writes it out, before places are found for what is
inside. So the journal, resuming, cuts between device and worker, labels and offline policies treat it as any other nested graph, and each
of the two askings is a node with a path, a place and a record of its own. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

from graphs.language.check_cascade import milliseconds
from graphs.language.spec import Graph
from graphs.values import Value, canonical, digest

__all__ = ["ALWAYS", "calibration_key", "expanded"]

ALWAYS: Final = 2.0
"""The bar that no answer reaches, not even one that is entirely sure (1.0): where none is said and none was calibrated, the second model is always
asked, which is also what a calibration learns from."""

Place: TypeAlias = Literal["edge", "cloud"]
PlaceOf: TypeAlias = Callable[[str, str | None], Place | None]

_ASKING: Final = ("agent", "params", "model", "label", "filterParams", "priority", "effect", "fit")
"""What of a node is said of each asking; everything else is the node's as a whole."""

_SAMPLES: Final = 5
_LARGE: Final = "large"


def calibration_key(spec: Mapping[str, Value]) -> str:
    """What a calibrated bar is kept by: all that decides how sure the answers of such a node are, wherever it stands."""
    said = spec.get("escalate")
    how = {key: value for key, value in said.items() if key != "below"} if isinstance(said, Mapping) else said
    return digest(
        canonical({**{key: spec[key] for key in ("agent", "params", "model", "inputs") if key in spec}, "escalate": how})
    ).hex()[:16]


def expanded(
    graph: Graph,
    place_of: PlaceOf = lambda _agent, _model: None,
    bar_of: Callable[[str], float | None] = lambda _key: None,
) -> Graph:
    """The graph with all cascades and hedges in it written out; the same graph if there are none.

    `place_of` says where an agent has its model (None for its default one), if anybody knows that yet; `bar_of` gives the calibrated bar of a
    node by its `calibration_key`, if there is one.
    """
    if graph.attributes.isdisjoint(("escalate", "hedge", "graph")):
        return graph
    document = _Writer(place_of, bar_of).graph(graph.document)
    return graph if document is graph.document else Graph(document, warnings=graph.warnings)


class _Writer:
    def __init__(self, place_of: PlaceOf, bar_of: Callable[[str], float | None]) -> None:
        self._place_of = place_of
        self._bar_of = bar_of

    def graph(self, document: Mapping[str, Value]) -> Mapping[str, Value]:
        nodes = document.get("nodes")
        if not isinstance(nodes, Mapping):
            return document
        made = {name: self._node(spec) for name, spec in nodes.items()}
        return {**document, "nodes": made} if any(made[name] is not nodes[name] for name in nodes) else document

    def _node(self, spec: Value) -> Value:
        if not isinstance(spec, Mapping) or "agent" not in spec:
            return spec
        for key, write in (("escalate", self._cascade), ("hedge", self._hedge)):
            said = spec.get(key)
            if isinstance(said, Mapping):
                return write(spec, said)
        inner = spec.get("graph")
        if isinstance(inner, Mapping) and (made := self.graph(inner)) is not inner:
            return {**spec, "graph": made}
        return spec

    def _cascade(self, spec: Mapping[str, Value], said: Mapping[str, Value]) -> Value:
        names = _Names(spec)
        first, second, score, kept, answer = (names.free(each) for each in ("first", "second", "score", "kept", "answer"))
        by = said.get("by") or ("agreement" if said.get("samples") else "mean")
        below, key = said.get("below"), calibration_key(spec)
        if below is None:
            below = self._bar_of(key)
        bar: float = ALWAYS if below is None else below
        asked = self._asking(spec, {})
        if by == "agreement":
            more: dict[str, Value] = {"samples": said.get("samples") or _SAMPLES, "below": min(bar, 1.0), "agent": asked["agent"]}
            asked = {**asked, "agent": "agreementAgent", "params": {**asked.get("params", {}), **more}}
        else:
            asked = {**asked, "params": {**asked.get("params", {}), "confidence": True}}
        again = self._asking(spec, _target(said.get("to") or _LARGE))
        told = {"cascade": f":{score}"}
        inner: dict[str, Value] = {
            first: self._placed(spec, asked),
            score: {
                "agent": "confidenceAgent",
                "inputs": {"answer": f":{first}"},
                "params": {"below": bar, "by": by, "cascade": key},
            },
            second: {
                **self._second(first, spec, self._placed(spec, again)),
                "if": f":{score}.unsure",
                "passThrough": told,
                **({"isResult": True} if spec.get("isResult") is True else {}),  # so that its tokens are shown: it is the answer
            },
            kept: {
                "agent": "copyAgent",
                "unless": f":{score}.unsure",
                "inputs": {"answer": f":{first}"},
                "params": {"namedKey": "answer"},
                "passThrough": told,
            },
            answer: _taken({"kept": f":{kept}", "second": f":{second}"}),
        }
        return self._nested(spec, names, inner, {"resultNodeId": answer})

    def _hedge(self, spec: Mapping[str, Value], said: Mapping[str, Value]) -> Value:
        names = _Names(spec)
        first, pause, second, answer = (names.free(each) for each in ("first", "pause", "second", "answer"))
        here = self._asking(spec, {})
        there = self._asking(spec, _target(said.get("to")))
        if not _is_pinned(spec):
            here, there = {"place": "edge", **here}, {"place": "cloud", **there}
        inner: dict[str, Value] = {
            first: here,
            pause: {"agent": "sleeperAgent", "params": {"duration": milliseconds(said.get("after")) or 0}},
            second: {**there, "if": f":{pause}"},
            answer: _taken({"first": f":{first}", "second": f":{second}"}),
        }
        return self._nested(spec, names, inner, {"resultNodeId": answer, "race": True})

    def _asking(self, spec: Mapping[str, Value], target: Mapping[str, Value]) -> dict[str, Any]:
        """One asking, as the node says it or, where `target` says otherwise, as that does."""
        asked: dict[str, Any] = {key: spec[key] for key in _ASKING if key in spec}
        inputs = {name: f":{name}" for name in spec.get("inputs") or {}}
        params = dict(asked.get("params") or {})
        if target.get("model"):
            inputs.pop("model", None)
            params.pop("model", None)
            asked["model"] = target["model"]
        asked["params"] = {**params, **(target.get("params") or {})}
        if target.get("place"):
            asked["place"] = target["place"]
        return {**asked, "inputs": inputs}

    def _placed(self, spec: Mapping[str, Value], asked: dict[str, Any]) -> dict[str, Any]:
        """An asking with its place, where that is known and nobody said one."""
        model = asked["params"].get("model") or asked.get("model")
        if "place" in asked or _is_pinned(spec) or not (model is None or isinstance(model, str)):
            return asked
        place = self._place_of(asked["agent"], model)
        return {**asked, "place": place} if place else asked

    def _second(self, first: str, spec: Mapping[str, Value], asked: dict[str, Any]) -> dict[str, Any]:
        """The second asking, with what the node says of being offline: where a local alternative is wanted, that is the first answer."""
        if asked.get("place") != "cloud":
            return asked
        written = spec.get("place")
        said: Mapping[str, Value] = written if isinstance(written, Mapping) else {}
        kept = {"agent": "copyAgent", "params": {"namedKey": first}}
        place = {
            "at": "cloud",
            "local": kept,
            **{key: value for key, value in said.items() if key in ("offline", "local") and value is not None},
        }
        if place.get("offline") in ("wait", "fail"):
            del place["local"]
            return {**asked, "place": place}
        return {**asked, "place": place, "inputs": {**asked["inputs"], first: f":{first}"}}

    def _nested(self, spec: Mapping[str, Value], names: _Names, inner: Mapping[str, Value], params: Mapping[str, Value]) -> Value:
        outer = {key: value for key, value in spec.items() if key not in (*_ASKING, "escalate", "hedge")}
        if not _is_pinned(spec):
            outer.pop("place", None)
        nodes = {**{name: {"value": None} for name in names.inputs}, **inner}
        return {**outer, "agent": "nestedAgent", "params": params, "graph": {"version": 0.5, "nodes": nodes}}


class _Names:
    """Names for the nodes inside: the inputs' are taken."""

    def __init__(self, spec: Mapping[str, Value]) -> None:
        self.inputs = tuple(spec.get("inputs") or ())
        self._taken = set(self.inputs)

    def free(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _taken(sources: Mapping[str, Value]) -> dict[str, Any]:
    """The node that is whichever of these has a value."""
    return {"agent": "firstAgent", "anyInput": True, "inputs": dict(sources), "isResult": True}


def _target(said: Value) -> Mapping[str, Value]:
    return said if isinstance(said, Mapping) else {"model": said} if isinstance(said, str) else {}


def _is_pinned(spec: Mapping[str, Value]) -> bool:
    place = spec.get("place")
    return (place.get("at") if isinstance(place, Mapping) else place) in ("edge", "cloud")
