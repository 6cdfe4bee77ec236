"""What history calls a node. Pure.

A node of a document is known by its place in it and by what is written of it, without what says where it runs: so its figures outlive changes of
other nodes, and those of another place or model are told apart. Beside it stands its agent, for nodes that never ran.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from graphs.language.spec import Graph, is_computed, written_inside
from graphs.packing import pack
from graphs.paths import escape
from graphs.values import Value, canonical, digest

__all__ = ["EDGE", "agent_key", "computed_nodes", "node_key"]

EDGE: Final = "edge"
"""The place of this device in the table; a worker's is its store id in hex."""

_PLACING: Final = frozenset(
    {
        "place",
        "model",
        "any",
        "budget",
        "escalate",
        "hedge",
        "isResult",
        "console",
        "priority",
        "label",
        "sensitivity",
        "timeout",
        "retry",
    }
)


def node_key(path: str, spec: Mapping[str, Value]) -> str:
    """What a node's figures are kept under: it, not where or by which model it runs."""
    written = {key: value for key, value in spec.items() if key not in _PLACING}
    params = written.get("params")
    if isinstance(params, Mapping) and "model" in params:
        written["params"] = {key: value for key, value in params.items() if key != "model"}
    try:
        packed = pack([path, written])  # a tenth of the time; nobody else reads it, so it need not be the one form of it
    except (TypeError, OverflowError, UnicodeEncodeError, RecursionError):
        packed = canonical([path, written])
    return f"node {digest(packed).hex()[:24]}"


def agent_key(name: str) -> str:
    """What an agent's figures are kept under."""
    return f"agent {name}"


def computed_nodes(graph: Graph, prefix: str = "") -> Iterator[tuple[str, Mapping[str, Value]]]:
    """Every computed node that is written in a graph, those inside others included, by its place in the document (ids, escaped, joined by `/`)."""
    for name, spec in graph.nodes.items():
        if is_computed(spec):
            path = prefix + escape(name)
            yield path, spec
            if (inside := written_inside(spec)) is not None:
                yield from computed_nodes(inside, f"{path}/")
