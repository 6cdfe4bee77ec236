"""Loading a node's model while the nodes before it still run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphs.language.spec import Graph, reads
from graphs.models.interface import Models
from graphs.models.together import prefetch
from graphs.paths import root_node

__all__ = ["Prefetcher", "coming_models"]


def coming_models(graph: Graph, models: Mapping[str, str]) -> dict[str, list[str]]:
    """The models that will soon be asked for when a node starts, by its id: those of the nodes that read it. Under "" are those
    of nodes that read no other computed node. `models` are the models of the root graph's nodes.
    """
    coming: dict[str, list[str]] = {}
    for name, model in models.items():
        sources = [source for source in reads(graph.nodes[name]) if "agent" in graph.nodes.get(source, {})]
        for source in sources or [""]:
            if model not in coming.setdefault(source, []):
                coming[source].append(model)
    return coming


class Prefetcher:
    """Watches a run, and says of each model that it is coming once a node before it starts."""

    def __init__(self, models: Models, coming: Mapping[str, Iterable[str]]) -> None:
        self._models = models
        self._coming = {node: list(names) for node, names in coming.items()}

    def begin(self) -> None:
        """The run begins."""
        self._say("")

    def started(self, start: Any, t: float) -> None:  # noqa: ARG002 - the observer's interface
        if self._coming:
            self._say(root_node(start.path))

    def settled(self, event: Any, by: Any, usage: Any, t: float) -> None:
        """Nothing is coming that was not said to be."""

    def erred(self, start: Any, error: BaseException, final: bool, t: float) -> None:
        """As `settled`."""

    def token(self, start: Any, token: Any) -> None:
        """As `settled`."""

    def _say(self, node: str) -> None:
        for name in self._coming.pop(node, ()):
            prefetch(self._models, name)
