"""Where a run's nodes are, while it is made ready: by the rules, and by figures where this device has any."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from edge.means import Device, RunOptions
from edge.placement import NoPlace, place_nodes
from edge.placing.facts import Facts, Implementation, Placement
from edge.placing.placed import Placed, decided
from edge.placing.wishes import Wishes
from graphs.engine.plan import Better
from graphs.errors import JournalError, ModelMissing, UsageError
from graphs.language.implementations import settled
from graphs.language.uncollected import uncollected

if TYPE_CHECKING:
    from graphs.engine.events import Settled, Start
    from graphs.language.spec import Graph
    from graphs.models.interface import Models
    from graphs.values import Value

__all__ = ["Chooser", "Out", "Places", "by_clearance", "known_digests"]

_LOOK: Final = 30.0
"""Seconds for which what was seen of the battery counts."""

_log = logging.getLogger(__name__)


class Places:
    """The places of one run's nodes. `placed` is what was found last, with its figures; `decided` are the nodes that figures moved, which stay
    there for as long as the run has a part at the worker.
    """

    def __init__(self, device: Device, graph: Graph, options: RunOptions) -> None:
        self.placed = Placed({})
        self._device = device
        self.written = graph
        """The graph with all its implementations."""
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
        return settled(self.written, chosen)

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
            self.placed = self._by_figures(facts, options.decided if goes_on else {}) if wanted else self._by_rules(facts)
        except NoPlace as error:
            raise UsageError(str(error), hint=error.remedy) from error
        return self.placed.nodes

    def _by_rules(self, facts: Facts) -> Placed:
        with uncollected(len(self.written.nodes)):
            return Placed(place_nodes(self.written, facts))

    def _by_figures(self, facts: Facts, fixed: Mapping[str, str]) -> Placed:
        from edge.placing.placer import place

        device, options = self._device, self._options
        assert device.estimator is not None
        try:
            known = replace(facts, digests=known_digests(device, facts.offer or {}))
            estimator = device.estimator(self.written, facts.offer or {}, options.url, options.inject)
            return place(self.written, known, estimator, self._wishes(), fixed)
        except (NoPlace, JournalError):
            raise
        except Exception:  # noqa: BLE001 - an estimate's mistake must not stop a run
            _log.exception("figures could not be found, so the rules alone place nodes")
            return self._by_rules(facts)


def by_clearance(error: UsageError) -> bool:
    """Whether a node has no place because of its labels: which of them a worker is cleared for it may say otherwise next time."""
    return isinstance(error.__cause__, NoPlace) and error.__cause__.by_label


class Out(Protocol):
    """How nodes that are placed here may leave for the worker."""

    ways: Mapping[str, Any]
    wanted: Collection[str]
    found: bool

    @property
    def possible(self) -> bool: ...


class Chooser:
    """How a node is done that is about to start on this device: as it was placed, unless facts have changed since. If its model has gone, had to
    leave memory, or takes no more requests, in the next of its ways that can be had, here or, where it may leave (`out`), at the worker. It leaves
    also when the battery becomes nearly empty, and when the worker is reached that it was to be at.
    """

    def __init__(
        self,
        models: Models,
        placed: Mapping[str, Placement],
        out: Out | None = None,
        is_low: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models = models
        self._out = out
        self._ways = {
            path: (each.model, [other for other in each.others if other.place == "edge"])
            for path, each in placed.items()
            if each.implementation is not None and each.place == "edge"
        }
        leaving = out.ways if out is not None else {}
        self._ways.update({path: (way.model, []) for path, way in leaving.items() if path not in self._ways})
        self._unseen = {model for model, _ in self._ways.values() if model is not None}
        """Models that were not in memory whenever somebody looked: they cannot have had to leave it."""
        self._look_around()
        self._left: set[str] = set()
        self._is_low, self._clock = is_low, clock
        self._low = self._was_low = bool(leaving) and is_low()
        self._looked = clock()

    def better(self, path: str) -> Better | None:
        """What is to run instead now, and why; None if the choice stands."""
        self._look_around()
        model, others = self._ways.get(path, (None, []))
        looks = model is not None and (bool(others) or not self._is_loaded(model))  # names are looked up on the disk
        known = set(self._models.names()) if looks else {model}
        if model is not None and model not in known:
            found = next((each for each in others if each.model is None or each.model in known), None)
            return self._here_or_there(path, found, f"{model} is gone")
        if model is not None and model not in self._unseen and not self._is_loaded(model):
            found = next((each for each in others if each.model is None or self._is_loaded(each.model)), None)
            return self._here_or_there(path, found, f"{model} was evicted")
        if self._out is not None and self._out.found and path in self._out.wanted:
            return self._there(path, "the worker is reached")
        return self._there(path, "the battery is nearly empty") if self._is_low_now() else None

    def busy(self, path: str, start: Start) -> Better | None:
        """What is to run instead of an attempt whose model takes no more requests now; None if there is nothing that was not tried."""
        model, others = self._ways.get(path, (None, []))
        numbers = [each.number for each in others]
        at = numbers.index(start.node.implementation) + 1 if start.node.implementation in numbers else 0
        why = f"{start.node.model or model or start.node.spec['agent']} is busy"
        if at < len(others):
            return Better(others[at].spec, why)
        if start.path in self._left:
            return None
        found = self._there(path, why)
        if found is not None:
            self._left.add(start.path)
        return found

    # -- graphs.running.ports.Observer

    def started(self, start: Start, t: float) -> None:
        """Its model may not be loaded yet."""

    def settled(self, event: Settled, by: Mapping[str, Value], usage: Mapping[str, Value] | None, t: float) -> None:  # noqa: ARG002
        """A node that asked a model had it in memory; what runs between it and the next one of that model may put it out."""
        if usage:
            self._look_around()

    def erred(self, start: Start, error: BaseException, final: bool, t: float) -> None:
        """Says nothing of models."""

    def token(self, start: Start, token: Value) -> None:
        """As little."""

    # -- how things stand

    def _here_or_there(self, path: str, here: Implementation | None, why: str) -> Better | None:
        return Better(here.spec, why) if here is not None else self._there(path, why)

    def _there(self, path: str, why: str) -> Better | None:
        way = self._out.ways.get(path) if self._out is not None and self._out.possible else None
        return Better(way.spec, why, "cloud") if way is not None else None

    def _is_low_now(self) -> bool:
        if self._out is None or not self._out.ways or self._was_low:
            return False
        now = self._clock()
        if now - self._looked >= _LOOK:
            self._looked, self._low = now, self._is_low()
        return self._low

    def _look_around(self) -> None:
        self._unseen -= {model for model in self._unseen if self._is_loaded(model)}

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
