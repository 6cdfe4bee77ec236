"""The texts of a run that have labels: what the gate looks for in all that is about to leave, wherever it is said to come from. Pure.

A text is labelled where it is written: in the value of a labelled static node or input, in what a labelled node is told (`params`, and what stands in
its `inputs` beside references), in all that is written inside a labelled node, and likewise in graphs that are values. What stands in the graph
without a label as well is no secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from graphs.language.labels import confining, declared_in
from graphs.language.refs import is_source, texts_in
from graphs.language.spec import is_computed, words
from graphs.values import Value, canonical

__all__ = ["labelled_texts"]

_SHORT: Final = 12
"""Bytes of a text that could as well stand anywhere else: shorter ones are not looked for."""
_LONG: Final = 1_024
"""Of a longer text its beginning is looked for."""
_MOST: Final = 4_096
"""Texts that are looked for."""
_NONE: Final = frozenset[str]()
_TOLD: Final = ("params", "inputs", "passThrough", "output", "defaultValue")
"""Attributes of a computed node with texts for it; the others name nodes, agents and models."""
_REFERENCE: Final = re.compile(r"\$\{[:@][^}]+\}")


def labelled_texts(
    nodes: Mapping[str, Value], inject: Mapping[str, Value], opened: Iterable[Value] = (), *, opens_values: bool = False
) -> list[tuple[bytes, frozenset[str]]]:
    """The texts with their labels, of a document's `nodes` with the values that its static nodes were given, and of the graphs that were `opened`;
    `opens_values` says that there may be such in its values.
    """
    found = _Texts(opens_values=opens_values)
    found.read(nodes, _NONE, inject)
    for document in opened:
        found.read(_nodes_of(document), _NONE, {})
    openly = b"\n".join(found.openly) if found.secret else b""
    return [(text, labels) for text, labels in found.secret.items() if labels and text not in openly]


class _Texts:
    def __init__(self, *, opens_values: bool) -> None:
        self.opens_values = opens_values
        self.secret: dict[bytes, frozenset[str]] = {}
        self.openly: list[bytes] = []

    def read(self, nodes: Mapping[str, Value], within: frozenset[str], inject: Mapping[str, Value]) -> None:
        """All nodes of a graph, at whatever depth; `within` are the labels of what it is written in."""
        for name, spec in nodes.items():
            if not isinstance(spec, Mapping):
                continue
            labels = within | confining(words(spec.get("sensitivity")))
            if is_computed(spec):
                self._keep(_literals(spec), labels, {key: each for key, each in spec.items() if key != "graph"})
                self.read(_nodes_of(spec.get("graph")), labels, {})
            else:
                self._read_value(inject.get(name, spec.get("value")), labels)
                if not labels and name in inject:
                    self._read_value(spec.get("value"), labels)
                self._keep((), labels, {key: each for key, each in spec.items() if key != "value"})

    def _read_value(self, value: Value, labels: frozenset[str]) -> None:
        if not labels and self.opens_values and declared_in(value):
            self.read(_nodes_of(value), labels, {})  # it is as labelled as what is said in it
        else:
            self._keep(texts_in(value), labels, value)

    def _keep(self, texts: Iterable[str], labels: frozenset[str], whole: Value) -> None:
        if not labels:
            self.openly.append(canonical(whole))
            return
        for text in texts:
            raw = text.encode("utf-8", "surrogatepass")[:_LONG]
            if len(raw) >= _SHORT and (raw in self.secret or len(self.secret) < _MOST):
                self.secret[raw] = self.secret.get(raw, labels) & labels


def _literals(spec: Mapping[str, Value]) -> Iterator[str]:
    """What is written in a computed node for it to read, without what refers to other nodes."""
    ways: Any = spec.get("any")
    told = [spec, *(ways if isinstance(ways, list) else ())]
    for text in texts_in([[each.get(key) for key in _TOLD] for each in told if isinstance(each, Mapping)]):
        if not is_source(text):
            yield from (part.strip() for part in _REFERENCE.split(text))


def _nodes_of(document: Value) -> Mapping[str, Value]:
    nodes = document.get("nodes") if isinstance(document, Mapping) else None
    return nodes if isinstance(nodes, Mapping) else {}
