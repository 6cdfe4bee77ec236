"""Where a run's nodes are, while it is made ready: by the rules, and by figures where this device has any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge.means import Device, RunOptions
from edge.placement import Facts, NoPlace, Place, Placement
from edge.placing.placer import Placed, place
from graphs.errors import ModelMissing, UsageError

if TYPE_CHECKING:
    from graphs.language.spec import Graph

__all__ = ["Places", "known_digests"]


class Places:
    """The places of one run's nodes. `placed` is what was found last, with its figures; `decided` are the nodes that figures moved, which stay
    there for as long as the run has a part at the worker.
    """

    def __init__(self, device: Device, graph: Graph, options: RunOptions) -> None:
        self.placed = Placed({})
        self._device = device
        self._graph = graph
        self._options = options

    @property
    def decided(self) -> dict[str, Place]:
        return {path: each.place for path, each in self.placed.nodes.items() if each.ways}

    def find(self, facts: Facts, *, reached: bool = True, goes_on: bool = False) -> dict[str, Placement]:
        """Places for all nodes. Figures count only while the worker is `reached`, as far as anybody knows; a run that `goes_on` with what is at
        the worker keeps the places it had. Raises UsageError if no place satisfies a node.
        """
        device, options = self._device, self._options
        made = device.estimator
        wanted = reached and made is not None and facts.offer is not None and not (options.local_only or options.offline)
        try:
            if not wanted or made is None:
                self.placed = place(self._graph, facts)
            else:
                facts = replace(facts, digests=known_digests(device, facts.offer or {}))
                estimator = made(self._graph, facts.offer or {}, options.url, options.inject)
                fixed = options.decided if goes_on else {}
                self.placed = place(self._graph, facts, estimator, options.wishes, fixed)
        except NoPlace as error:
            raise UsageError(str(error), hint=error.remedy) from error
        return self.placed.nodes


def known_digests(device: Device, offer: Mapping[str, Any]) -> dict[str, str]:
    """The digests of those of this device's models that the worker has under the same name."""
    found: dict[str, str] = {}
    for name in set(device.models.names()) & set(offer.get("models") or {}):
        try:
            digest = device.models.describe(name).digest
        except ModelMissing:
            continue
        if digest is not None:
            found[name] = digest
    return found
