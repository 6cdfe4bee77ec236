"""What is said of labels in a run, heard a second way: who copies the run as a whole does not rest on the labels alone that were worked out for it.

`graphs.language.run_labels` works out which value has which labels, and what of that the document does not tell is noted with the run. This module
works out nothing. It writes down what is said, by whom: the agents of this store at each node of the document, and every graph that is a value, when
it is opened. No label spreads here, no node is looked up; a label that is said anywhere is one of the run. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from graphs.language.labels import UNSEEN, AgentLabels
from graphs.language.lineage import said_in
from graphs.paths import escape
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.registry import Agent

__all__ = ["Hearing", "Said"]

_NONE: Final = frozenset[str]()
_PLACES: Final = 256
"""Places that are told apart; what is said at any other is said of the whole run."""
_EVERYWHERE: Final = ""

Said = Callable[[frozenset[str], Mapping[str, frozenset[str]]], None]
"""Takes all labels that were said, and by the place of a node in the document those that this does not say itself."""


class Hearing:
    """What is said in a run of this `document`, whose nodes are done by these `agents`. `before` are places that another process or store heard of.
    `news` hears of it when it is told to, and whenever there is more.
    """

    def __init__(
        self,
        document: Mapping[str, Value],
        agents: Mapping[str, Agent] | None,
        news: Said,
        before: Mapping[str, frozenset[str]] = MappingProxyType({}),
    ) -> None:
        self._agents = agents
        self._news = news
        said = said_in(document, agents)
        self._labels = said - {UNSEEN}
        self.opens_values = UNSEEN in said
        """Whether graphs in it are values: then that nothing was heard is to be told as well."""
        self._places = dict(before)
        self._opened: set[str] = set()
        for place, labels in _by_agents(document, agents, ""):
            self._hear(place, labels)

    def tell(self) -> None:
        """Tell what was heard so far, if anything was, or may be."""
        if self._labels or self._places or self.opens_values:
            self._news(self._labels.union(*self._places.values()), dict(self._places))

    def opened(self, place: str, document: Value) -> None:
        """The node at this place in the document opens this graph, which is a value. What is said in it counts for those around it that were opened
        so, too: their values are made of its.
        """
        labels = said_in(document, self._agents) - {UNSEEN}
        self._opened.add(place)
        around = {each for each in self._opened if each == place or place.startswith(f"{each}/")}
        new = {each for each in around if self._hear(each, labels)} if labels else ()
        if new:
            self.tell()

    def _hear(self, place: str, labels: frozenset[str]) -> bool:
        """Whether that was new."""
        if place not in self._places and len(self._places) >= _PLACES:
            place = _EVERYWHERE
        before = self._places.get(place, _NONE)
        self._places[place] = before | labels
        return not labels <= before


def _by_agents(document: Value, agents: Mapping[str, Agent] | None, prefix: str) -> Iterator[tuple[str, frozenset[str]]]:
    """The labels that agents put on the values of nodes, by place."""
    nodes = document.get("nodes") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(nodes, Mapping):
        return
    about = AgentLabels(agents, document)
    for name, spec in nodes.items():
        if isinstance(spec, Mapping) and "agent" in spec:
            if labels := about.adds(spec):
                yield prefix + escape(name), labels
            yield from _by_agents(spec.get("graph"), agents, f"{prefix}{escape(name)}/")
