"""Where a run's nodes are, while it is made ready: by the rules, and by figures where this device has any."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge.means import Device, RunOptions
from edge.placement import Facts, NoPlace, Placement
from edge.placing.placer import Placed, decided, place
from edge.placing.search import Wishes
from graphs.engine.plan import Better
from graphs.errors import JournalError, ModelMissing, UsageError
from graphs.language.implementations import settled

if TYPE_CHECKING:
    from graphs.language.spec import Graph
    from graphs.models.interface import Models

__all__ = ["Chooser", "Places", "known_digests"]

_log = logging.getLogger(__name__)


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
    def decided(self) -> dict[str, str]:
        by_figures = self.placed.found is not None
        return {
            path: decided(each)
            for path, each in self.placed.nodes.items()
            if each.implementation is not None or (by_figures and each.free)
        }

    @property
    def graph(self) -> Graph:
        """The graph with the implementations that were chosen."""
        chosen = {path: each.implementation for path, each in self.placed.nodes.items() if each.implementation is not None}
        return settled(self._graph, chosen)

    def _wishes(self) -> Wishes:
        """What the user wants; of a device whose battery is nearly empty energy, unless they said otherwise."""
        wishes = self._options.wishes
        return replace(wishes, minimise="energy") if wishes.minimise is None and self._device.is_low() else wishes

    def find(self, facts: Facts, *, reached: bool = True, goes_on: bool = False) -> dict[str, Placement]:
        """Places for all nodes. Figures count only while the worker is `reached`, as far as anybody knows; a run that `goes_on` with what is at
        the worker keeps the places it had. Raises UsageError if no place satisfies a node.
        """
        device, options = self._device, self._options
        wanted = (
            reached and device.estimator is not None and facts.offer is not None and not (options.local_only or options.offline)
        )
        try:
            self.placed = self._by_figures(facts, options.decided if goes_on else {}) if wanted else place(self._graph, facts)
        except NoPlace as error:
            raise UsageError(str(error), hint=error.remedy) from error
        return self.placed.nodes

    def _by_figures(self, facts: Facts, fixed: Mapping[str, str]) -> Placed:
        device, options = self._device, self._options
        assert device.estimator is not None
        try:
            known = replace(facts, digests=known_digests(device, facts.offer or {}))
            estimator = device.estimator(self._graph, facts.offer or {}, options.url, options.inject)
            return place(self._graph, known, estimator, self._wishes(), fixed)
        except (NoPlace, JournalError):
            raise
        except Exception:  # noqa: BLE001 - an estimate's mistake must not stop a run
            _log.exception("figures could not be found, so the rules alone place nodes")
            return place(self._graph, facts)


class Chooser:
    """Which of several implementations runs on this device, when a node is about to start: the one it was placed with, unless the model of that
    has gone, or had to leave memory since the run began and another one is there.
    """

    def __init__(self, models: Models, placed: Mapping[str, Placement]) -> None:
        self._models = models
        self._ways = {
            path: (each.model, [other for other in each.others if other.place == "edge"])
            for path, each in placed.items()
            if each.implementation is not None and each.place == "edge"
        }
        self._loaded = {model for model, _ in self._ways.values() if model is not None and self._is_loaded(model)}

    def better(self, path: str) -> Better | None:
        """What is to run instead now, and why; None if the choice stands."""
        model, others = self._ways.get(path, (None, []))
        if model is None or not others:
            return None
        known = set(self._models.names())
        if model not in known:
            found = next((each for each in others if each.model is None or each.model in known), None)
            return Better(found.spec, f"{model} is gone") if found is not None else None
        if self._is_loaded(model):
            self._loaded.add(model)
        elif model in self._loaded:
            found = next((each for each in others if each.model is None or self._is_loaded(each.model)), None)
            return Better(found.spec, f"{model} was evicted") if found is not None else None
        return None

    def _is_loaded(self, model: str) -> bool:
        try:
            return self._models.describe(model).loaded
        except ModelMissing:
            return False


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
