"""A graph: the frozen, checked, addressed document everything else works from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from graphs.errors import GraphInvalid, Problem
from graphs.language.check import check
from graphs.language.check_privacy import check_trust
from graphs.language.refs import is_source, names_in
from graphs.language.report import Report, in_document_order
from graphs.language.uncollected import uncollected
from graphs.values import Value, canonical, graph_hash

if TYPE_CHECKING:
    from graphs.registry import Agent

__all__ = ["Graph", "is_boundary", "is_computed", "reads", "words", "written_inside"]


class Graph:
    """A checked graph. Its document must not be changed any more; the written order of its nodes is part of its meaning.

    `nodes` are those of the document, after the static nodes that its `inputs` declare. `hash` is the graph's address (32
    bytes), `warnings` what the checker noticed without refusing it.
    """

    def __init__(self, document: Mapping[str, Value], *, warnings: tuple[Problem, ...] = ()) -> None:
        self.document = document
        self.nodes: Mapping[str, Mapping[str, Value]] = _with_declared(document)
        self.warnings = warnings

    @classmethod
    def of(
        cls,
        document: Any,
        agents: Collection[str],
        *,
        marks: Any = None,
        file: str | None = None,
        bypass: Collection[str] = (),
        strict: bool = False,
        allow_cut: bool = False,
        says: Mapping[str, Agent] | None = None,
    ) -> Graph:
        """Check a document and make it a graph. `agents` are the names known here; with what they say of themselves it is looked at whether nodes
        act upon what anybody could have written that must not.

        Raises GraphInvalid with all problems, in document order.
        """
        nodes = document.get("nodes") if isinstance(document, dict) else None
        with uncollected(len(nodes) if isinstance(nodes, dict) else 0):
            problems = check(document, agents, marks=marks, file=file, bypass=bypass, strict=strict, allow_cut=allow_cut)
        if says is not None and all(problem.warning for problem in problems):
            report = Report(marks, file)
            check_trust(report, cls(document), says)
            problems = in_document_order([*problems, *report.problems], document)
        if any(not problem.warning for problem in problems):
            raise GraphInvalid(problems, file=file)
        return cls(document, warnings=tuple(problems))

    @cached_property
    def attributes(self) -> frozenset[str]:
        """All attributes that any of its nodes has: what none has, nobody needs to look for node by node."""
        return frozenset[str]().union(*self.nodes.values())

    @cached_property
    def canonical(self) -> bytes:
        """The graph's canonical bytes: what is hashed, stored and shipped."""
        return canonical(self.document, strict=True)

    @cached_property
    def sources(self) -> Mapping[str, tuple[str, ...]]:
        """By node, the nodes that it `reads`, each once: several readers of a graph ask for all of them."""
        return {name: tuple(dict.fromkeys(reads(spec))) for name, spec in self.nodes.items()}

    @cached_property
    def hash(self) -> bytes:
        return graph_hash(self.document)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return f"<Graph {self.hash.hex()[:8]} with {len(self.nodes)} nodes>"


def _with_declared(document: Mapping[str, Value]) -> Mapping[str, Mapping[str, Value]]:
    """The nodes as the graph's `inputs` declare them: static nodes in front for those that are not among them, with default and
    sensitivity (graph-spec §14).
    """
    nodes: Mapping[str, Mapping[str, Value]] = document["nodes"]
    declared = document.get("inputs")
    if not declared:
        return nodes
    made = {name: _declared(nodes.get(name, {}), about) for name, about in declared.items()}
    return {**made, **{name: made.get(name, spec) for name, spec in nodes.items()}}


def _declared(spec: Mapping[str, Value], about: Value) -> Mapping[str, Value]:
    if not isinstance(about, Mapping) or is_computed(spec):
        return spec
    more: dict[str, Value] = {}
    if "default" in about and "value" not in spec:
        more["value"] = about["default"]
    if about.get("sensitivity"):
        more["sensitivity"] = [*words(spec.get("sensitivity")), *words(about["sensitivity"])]
    return {**spec, **more} if more else spec


def words(said: Value) -> tuple[str, ...]:
    """The words of a `sensitivity`: one, a list of them, or none. What is no word, which no checked graph has, counts as none."""
    each = [said] if isinstance(said, str) else said if isinstance(said, (list, tuple)) else ()
    return tuple(word for word in each if isinstance(word, str))


def written_inside(node: Mapping[str, Value]) -> Graph | None:
    """The graph that is written inside a node; None if it has none, names it by a value, or has something else there.

    Nobody has checked it yet: that happens when it is opened. It only has the shape that readers of graphs rely on.
    """
    document = node.get("graph")
    nodes = document.get("nodes") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(nodes, Mapping) or not _is_map(document.get("inputs")):
        return None
    for name, spec in nodes.items():
        parts = ("inputs", "params", "passThrough")
        if not isinstance(name, str) or not isinstance(spec, Mapping) or not all(_is_map(spec.get(part)) for part in parts):
            return None
    return Graph(document)


def _is_map(value: Value) -> bool:
    return value is None or isinstance(value, Mapping)


def is_computed(node: Mapping[str, Value]) -> bool:
    """Whether the node has an agent (graph-spec §1: the key counts, not its value)."""
    return "agent" in node


def is_boundary(node: Mapping[str, Value]) -> bool:
    """Whether the node stands in a cut graph for one that is elsewhere."""
    return node.get("boundary") is True


def reads(node: Mapping[str, Value]) -> Iterator[str]:
    """The nodes a node names, as often as it names them: it waits for these (§6.2), a static node takes its `update` from one."""
    yield from names_in(node.get("inputs"))
    yield from names_in(node.get("passThrough"))
    for key in ("agent", "graph", "if", "unless", "update"):
        if is_source(node.get(key)):
            yield from names_in(node[key])
