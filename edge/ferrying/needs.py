"""What this device needs to know of what a worker makes: the nodes whose values it reads itself. Pure.

A value that only nodes at the same worker read is never transferred, however large: the device's engine passes its reference on
(docs/protocol.md §8, §14). Where in doubt, the value is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

from graphs.engine.plan import Plan
from graphs.engine.plan_node import PlanNode
from graphs.language.refs import is_source, names_in, texts_in
from graphs.language.spec import is_computed, reads
from graphs.paths import document_path, opener, split_path
from graphs.values import Value

__all__ = ["Unread", "read_here"]


class Unread:
    """Whose values nobody here reads when a run goes on from what is known of it; the other arguments as of `read_here`, for the root graph."""

    def __init__(self, plan: Plan, *, everything: bool, may_run: Callable[[str], bool], elsewhere: Callable[[str], bool]) -> None:
        """`elsewhere` says of a node, by its place in the document, that it runs at the worker as a whole, with the graph it opens if it does."""
        self._read = read_here(plan, everything=everything, may_run=may_run)
        self._elsewhere = elsewhere

    def __call__(self, path: str, known: Container[str]) -> bool:
        """Whether nobody reads the value of this execution; `known` are the paths that have an outcome. Of a graph that is opened here only its own
        frame knows who reads what in it: then it is False.
        """
        around = opener(path)
        if not around:
            return split_path(path)[1] not in self._read
        while around:
            if around in known or self._elsewhere(document_path(around)):
                return True
            around = opener(around)
        return False


def read_here(plan: Plan, *, everything: bool = False, may_run: Callable[[str], bool] = lambda _path: False) -> frozenset[str]:
    """The nodes of a graph whose values the holder of its frame reads; `everything`: the caller wants all nodes' values. `may_run` tells of
    a node that is elsewhere, by its place in the document, whether it may come to run here after all.
    """
    needed: set[str] = set()
    passed: dict[str, set[str]] = {}
    """Nodes by those that only hand their values on."""
    for name, spec in plan.graph.nodes.items():
        node = plan.nodes[plan.numbers[name]]
        if everything or spec.get("isResult"):
            needed.add(name)
        if node is None or not is_computed(spec):
            _static(name, spec, needed, passed)
        elif node.place is not None:
            needed.update(reads(spec) if may_run(plan.prefix + node.escaped) else _decided_here(node, spec))
        elif _is_copy(node):
            _copied(name, spec, needed, passed)
        else:
            needed.update(reads(spec))
    loop: Any = plan.graph.document.get("loop") or {}
    needed.update(names_in(loop.get("while")))
    grown = True
    while grown:
        more = {source for source, readers in passed.items() if source not in needed and not readers.isdisjoint(needed)}
        needed |= more
        grown = bool(more)
    return frozenset(needed)


def _static(name: str, spec: Mapping[str, Value], needed: set[str], passed: dict[str, set[str]]) -> None:
    """A static node takes the value of its `update` into the next turn."""
    update = spec.get("update")
    for source in names_in(update) if is_source(update) else ():
        if update == f":{source}":
            passed.setdefault(source, set()).add(name)
        else:
            needed.add(source)


def _decided_here(node: PlanNode, spec: Mapping[str, Value]) -> Iterator[str]:
    """What the holder reads to decide about a node that runs elsewhere. A property function might fail on what is not here."""
    if not node.any_input:
        yield from names_in(spec.get("if"))
        yield from names_in(spec.get("unless"))
    for key in ("agent", "graph"):
        if is_source(spec.get(key)):
            yield from names_in(spec[key])
    for text in (*texts_in(spec.get("inputs")), *texts_in(spec.get("passThrough"))):
        if "(" in text:
            yield from names_in(text)


def _is_copy(node: PlanNode) -> bool:
    """Whether a node here does nothing but hand its inputs on."""
    plain = node.agent is not None and node.agent.name == "copyAgent" and node.plain and node.condition is None
    return plain and not node.any_input and not node.overlays and not node.is_result


def _copied(name: str, spec: Mapping[str, Value], needed: set[str], passed: dict[str, set[str]]) -> None:
    for item in (spec.get("inputs") or {}).values():
        for source in names_in(item):
            if item == f":{source}":
                passed.setdefault(source, set()).add(name)
            else:
                needed.add(source)
