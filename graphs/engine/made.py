"""Graphs made at run time: what a graph that came out of a value may do. It may have been written by a model, so less than others.

It runs within bounds of its own, and only with agents that need nothing of this machine which was not granted to such graphs. That
holds for everything inside it: nested graphs, maps, agents named by values, and the agents that its agents call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphs.bounds import TRUSTED, UNTRUSTED, Bounds, split_limit, with_limits
from graphs.budget import Budget
from graphs.errors import GraphInvalid, LimitReached, NodeError, Problem, UsageError
from graphs.language.implementations import implementations
from graphs.language.requiring import requires_trust
from graphs.language.spec import is_computed, written_inside
from graphs.registry import Agent
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.engine.plan import Compiler

__all__ = ["DISTRUSTED", "GRANTS", "Made", "NotAllowed", "Permissions", "fit_graph", "require_fit"]

GRANTS: Final = ("declassify", "files", "network", "people")
"""What can be granted to graphs made at run time; models they may always ask."""

FROM_OTHERS: Final = "whatever such a graph says anybody could have written"

DISTRUSTED: Final = (
    "Nothing in such a graph is to be trusted, whoever approves it. If you trust who wrote it, run it without --untrusted; "
    "if not, let a node of a graph of your own act upon what it gives, once a person has approved that."
)
"""What helps where a graph from others has a node that requires trusted inputs."""

_MADE: Final = "made."


class NotAllowed(UsageError):
    """A graph from others has nodes that it may not have; `node` is the first of them."""

    def __init__(self, node: str, message: str, hint: str) -> None:
        super().__init__(message, hint=hint or None)
        self.node = node


class Made(NamedTuple):
    """What graphs made at run time may do. `bounds` None are those of the run; `grants` of GRANTS; `agents` by name, None any."""

    bounds: Bounds | None = UNTRUSTED
    grants: frozenset[str] = frozenset({"people"})
    agents: frozenset[str] | None = None

    def require(self, name: str, agent: Agent) -> None:
        """Raises NodeError if such a graph may not use that agent."""
        if self.agents is not None and name not in self.agents and agent.name not in self.agents:
            raise NodeError(f"a graph from others may not use {name}: it is not among the agents allowed", retryable=False)
        if agent.requires is not None:
            raise NodeError(
                f"a graph from others may not use {name}: it requires trusted inputs, and {FROM_OTHERS}",
                retryable=False,
                hint=DISTRUSTED,
            )
        lacking = sorted(need for need in agent.needs if need in GRANTS and need not in self.grants)
        if lacking:
            raise NodeError(
                f"a graph from others may not use {name}: it needs {' and '.join(lacking)}, which is not granted to such graphs",
                retryable=False,
                hint=f"If that is meant: --grant {','.join(lacking)}",
            )

    def require_all(self, nodes: Mapping[str, Mapping[str, Value]], agents: Mapping[str, Agent]) -> None:
        """Raises NodeError if a node names an agent that such a graph may not use; a name out of a value is looked at once known."""
        for spec in (each for node in nodes.values() for each in (node, *implementations(node))):
            name = spec.get("agent")
            agent = agents.get(name) if isinstance(name, str) else None
            if agent is not None:
                self.require(str(name), agent)


class Permissions(NamedTuple):
    """What one run may do and have: `bounds` for the run, `made` for graphs made in it. `untrusted` says that the run's own graph is
    from others, too.
    """

    bounds: Bounds = TRUSTED
    made: Made = Made()
    untrusted: bool = False

    @classmethod
    def of(
        cls,
        *,
        untrusted: bool = False,
        limits: Mapping[str, float | None] | Iterable[str] = (),
        grants: Iterable[str] = (),
        max_turns: int | None = None,
    ) -> Permissions:
        """The defaults with some limits replaced, as a map or `NAME=N` words; `made.NAME` is one of graphs made at run time.

        `grants` of GRANTS are what graphs from others may use besides what they may anyway. Raises UsageError.
        """
        pairs = dict(limits) if isinstance(limits, Mapping) else dict(split_limit(each) for each in limits)
        own = {name: value for name, value in pairs.items() if not name.startswith(_MADE)}
        inner = {name.removeprefix(_MADE): value for name, value in pairs.items() if name.startswith(_MADE)}
        granted = [*grants]
        for each in granted:
            if each not in GRANTS:
                raise UsageError(f"--grant {each}: there is nothing of that name to grant; known are {', '.join(GRANTS)}")
        bounds = with_limits(UNTRUSTED if untrusted else TRUSTED, own, where="--limit")
        if max_turns is not None and bounds.turns is not None and not untrusted:
            bounds = replace(bounds, turns=max(bounds.turns, max_turns))
        # A graph of others that makes graphs has one budget for all of them.
        for_made = None if untrusted and not inner else with_limits(UNTRUSTED, inner, where="--limit")
        return cls(bounds, Made(for_made, frozenset(granted) | Made().grants), untrusted)

    def require(
        self, document: Mapping[str, Value], nodes: Mapping[str, Mapping[str, Value]], agents: Mapping[str, Agent]
    ) -> None:
        """Raises GraphInvalid for a graph of the run's own that is too large, NotAllowed if it is from others and has nodes, those of graphs
        that are written in it included, that such a graph may not have.
        """
        require_fit(document, self.bounds)
        if not self.untrusted:
            return
        found = list(_refused(nodes, agents, self.made, ()))
        if found:
            hints = dict.fromkeys(error.hint for _, error in found if error.hint)
            told = "\n".join(f"node {'/'.join(place)!r}: {error.message}" for place, error in found)
            raise NotAllowed("/".join(found[0][0]), told, "\n".join(hints)) from found[0][1]

    def compiler(self, agents: Mapping[str, Agent], **options: Any) -> Compiler:
        """A compiler for one run with these permissions."""
        from graphs.engine.plan import Compiler

        return Compiler(agents, budget=Budget(self.bounds), made=self.made, untrusted=self.untrusted, **options)

    def grants(self, need: str) -> bool:
        """Whether the run's own graph may use that."""
        return not self.untrusted or need in self.made.grants


def _refused(
    nodes: Mapping[str, Mapping[str, Value]], agents: Mapping[str, Agent], made: Made, above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], NodeError]]:
    """The nodes that a graph from others may not have, as far as their words say so, by their ids from the root graph on."""
    for node, spec in nodes.items():
        place = (*above, node)
        if not is_computed(spec):
            continue
        try:
            made.require_all({node: spec}, agents)
        except NodeError as error:
            yield place, error
        else:
            if requires_trust(spec, agents):
                why = f"a graph from others may have no node that requires trusted inputs: {FROM_OTHERS}"
                yield place, NodeError(why, retryable=False, hint=DISTRUSTED)
        inside = written_inside(spec)
        if inside is not None:
            yield from _refused(inside.nodes, agents, made, place)


def fit_graph(document: Value, bounds: Bounds) -> int:
    """How many keys and values a graph has. Raises LimitReached if it has more nodes or values than it may, as soon as that is known.

    Nodes of the graphs inside it count, wherever they stand. Depth is looked at where a graph is checked.
    """
    most_values = bounds.graph_values if bounds.graph_values is not None else float("inf")
    most_nodes = bounds.graph_nodes if bounds.graph_nodes is not None else float("inf")
    values = nodes = 0
    todo: list[Value] = [document]
    while todo:
        item = todo.pop()
        if isinstance(item, Mapping):
            below = item.get("nodes")
            if isinstance(below, Mapping):
                nodes += len(below)
            values += 2 * len(item)
            todo.extend(item.values())
        elif isinstance(item, (list, tuple)):
            values += len(item)
            todo.extend(item)
        if nodes > most_nodes:
            raise LimitReached("graph_nodes", most_nodes, "the graph, with those inside it, has more")
        if values > most_values:
            raise LimitReached("graph_values", most_values, "the graph has more keys and values")
    return values


def require_fit(document: Value, bounds: Bounds, file: str | None = None) -> None:
    """As `fit_graph`, for a graph that is refused before it runs: raises GraphInvalid."""
    if bounds.graph_nodes is None and bounds.graph_values is None:
        return
    try:
        fit_graph(document, bounds)
    except LimitReached as error:
        raise GraphInvalid([Problem("GF108", error.message, (), file, suggestion=error.hint)], file=file) from error
