"""Integrity: which values anybody could have written, and which nodes must not act upon such (graph-spec §14). Pure.

This is the one place where the integrity label `untrusted` is kept apart from sensitivity. It spreads over a graph by the same rules, conditions
included, but it says where a value comes from and never where it may go. Untrusted is what an agent gave that uses the network, or that is not known
here; what a graph gave that is a value itself; and whatever is said to be so with `integrity: untrusted`. An answer of a model is as trusted as what
the model was asked, wherever that runs: which server may be asked is the device's own configuration, and trust must not hang on placement.

Trusted is what a person answered. A node that runs only on a person's approval (`if: :ok.approved`) may read what that person was shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphs.language.declassify import EVERY, sources_in, taken_off
from graphs.language.labels import UNSEEN, UNTRUSTED, AgentLabels, Spread, alternatives
from graphs.language.refs import split_path
from graphs.language.requiring import requires_trust
from graphs.language.spec import Graph, is_computed, reads
from graphs.paths import escape
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.registry import Agent

__all__ = ["Distrust", "distrusted"]

_NONE: Final = frozenset[str]()
_BAD: Final = frozenset({UNTRUSTED, UNSEEN})
_PEOPLE: Final = frozenset({"humanAgent", "textInputAgent"})
_ASKED: Final = frozenset({"mode", "params", "choices", "schema"})
"""Inputs of a humanAgent that are not shown, or that decide what is asked."""
_CALLERS: Final = frozenset({"toolLoopAgent", "toolsAgent"})
_RESHAPED: Final = frozenset({"output", "passThrough", "defaultValue"})


class Distrust(NamedTuple):
    """A node that reads what anybody could have written: where it stands in the document, the way from the first such node to it, and why that one is
    not trusted.
    """

    place: tuple[str, ...]
    way: tuple[str, ...]
    why: str
    required: bool
    """Whether the node requires trusted inputs."""


def distrusted(graph: Graph, agents: Mapping[str, Agent]) -> dict[str, Distrust]:
    """The nodes that read what anybody could have written, by their place in the document: ids, escaped, joined by `/`."""
    spread = Spread(graph, _Integrity(agents, graph), {}, "")
    spread.spread()
    return {"/".join(map(escape, each.place)): each for each in _look(spread, agents, ())}


class _Integrity(AgentLabels):
    """What agents say of where their values come from."""

    def __init__(self, agents: Mapping[str, Agent], graph: Graph) -> None:
        super().__init__(agents, graph.document, graph.attributes)
        instead = alternatives(graph.document, graph.attributes)
        self._instead = {each for each in instead if each not in agents or "network" in agents[each].needs}
        """Alternatives for when no worker is reached, which may stand for any node that could be at one."""
        self._speak = {name for name, each in agents.items() if "network" in each.needs}
        self._called_by_value = self._speak

    def own(self, spec: Mapping[str, Value]) -> frozenset[str]:
        return frozenset({UNTRUSTED}) if spec.get("integrity") == UNTRUSTED else _NONE

    def reads(self, nodes: Mapping[str, Mapping[str, Value]], spec: Mapping[str, Value]) -> Iterable[str]:
        shown = _approved(nodes, spec)
        if not shown:
            return reads(spec)
        rest = [source for source in sources_in(spec.get("inputs")) if not _covers(shown, source)]
        return [*(split_path(source)[0] for source in rest), *reads({**spec, "inputs": None})]

    def adds(self, spec: Mapping[str, Value]) -> frozenset[str]:
        name: Any = spec["agent"]
        if isinstance(name, str) and not name.startswith(":") and name not in self._agents and self.nests(spec) is None:
            return frozenset({UNTRUSTED})
        return frozenset({UNTRUSTED}) if self._called(spec) or (self._instead and spec.get("place") != "edge") else _NONE

    def removes(self, spec: Mapping[str, Value]) -> frozenset[str]:
        name = spec["agent"]
        if name in _PEOPLE:
            return frozenset({EVERY})
        if name == "declassifyAgent" and UNTRUSTED in taken_off(spec):
            return frozenset({UNTRUSTED, UNSEEN})
        return _NONE


def _approved(nodes: Mapping[str, Mapping[str, Value]], spec: Mapping[str, Value]) -> tuple[str, ...]:
    """The sources that a person was shown whose approval is the condition of a node."""
    condition = spec.get("if")
    if not isinstance(condition, str):
        return ()
    name, properties = split_path(condition)
    asks = nodes.get(name, {})
    inputs: Any = asks.get("inputs") or {}
    approves = asks.get("agent") == "humanAgent" and (asks.get("params") or {}).get("mode") == "approve"
    if properties != ("approved",) or not approves or _RESHAPED & asks.keys() or _ASKED & inputs.keys():
        return ()
    return tuple(sources_in(inputs))


def _covers(shown: Iterable[str], source: str) -> bool:
    return any(source == each or source.startswith(f"{each}.") for each in shown)


# -- finding the nodes, and the way to them


def _look(spread: Spread, agents: Mapping[str, Agent], outer: tuple[tuple[Spread, str], ...]) -> Iterator[Distrust]:
    for name, spec in spread.graph.nodes.items():
        if not is_computed(spec):
            continue
        required = requires_trust(spec, agents)
        own = spread.agents.adds(spec) if spec["agent"] in _CALLERS else _NONE  # it acts upon what the agents say that it calls
        if _BAD & (_read(spread, spec) | spread.around | own):
            way, why = _way(spread, name, outer, agents)
            yield Distrust((*(each for _, each in outer), name), way, why, required)
        if name in spread.nested:
            yield from _look(spread.nested[name], agents, (*outer, (spread, name)))


def _read(spread: Spread, spec: Mapping[str, Value]) -> frozenset[str]:
    return _NONE.union(*(spread.values.get(each, _NONE) for each in spread.agents.reads(spread.graph.nodes, spec)))


def _way(
    spread: Spread, name: str, outer: tuple[tuple[Spread, str], ...], agents: Mapping[str, Agent]
) -> tuple[tuple[str, ...], str]:
    """The nodes from the one whose value is the first not to be trusted, and why it is not."""
    before: dict[str, str] = {}
    todo = deque([name])
    nodes = spread.graph.nodes
    source = name
    while todo:
        source = todo.popleft()
        spec = nodes.get(source, {})
        if source != name and (_BAD & spread.agents.own(spec) or (is_computed(spec) and spread.agents.adds(spec))):
            break
        bad = [each for each in spread.agents.reads(nodes, spec) if _BAD & spread.values.get(each, _NONE)]
        if not bad:
            break
        for each in bad:
            if each not in before and each != name:
                before[each] = source
                todo.append(each)
    way = [source]
    while way[-1] != name:
        way.append(before[way[-1]])
    prefix = "".join(f"{each}/" for _, each in outer)
    told = tuple(f"{prefix}{each}" for each in way)
    spec = nodes.get(source, {})
    given = source in spread.given and not is_computed(spec) and not spread.agents.own(spec)
    if outer and (given or (source == name and not _BAD & spread.agents.adds(spec))):  # it came in from around the graph
        (around, opener), rest = outer[-1], outer[:-1]
        further, why = _way(around, opener, rest, agents)
        return (*further, *told), why
    return told, _why(spec, agents)


def _why(spec: Mapping[str, Value], agents: Mapping[str, Agent]) -> str:
    if spec.get("integrity") == UNTRUSTED:
        return "is said to be untrusted"
    if not is_computed(spec):
        return "is not trusted"
    name = spec["agent"]
    if not isinstance(name, str) or name.startswith(":"):
        return "has an agent that only a value names"
    if name not in agents:
        return f"has the agent {name}, of which nobody here knows what it reads"
    if "network" in agents[name].needs:
        return f"takes it from the network ({name})"
    if isinstance(spec.get("graph"), str):
        return "runs a graph that is a value"
    if name in _CALLERS:
        return "may call agents that use the network"
    return "may have another agent in its place, which uses the network"
